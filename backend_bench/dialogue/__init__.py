"""What is said to the model and what it says back: prompt, reply, feedback. Text only; judges nothing."""
