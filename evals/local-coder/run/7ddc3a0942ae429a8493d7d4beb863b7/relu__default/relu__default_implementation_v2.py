import torch

def relu__default_kernel_impl(*args, **kwargs):
    # Extract the input tensor
    input_tensor = args[0]
    
    # Apply the ReLU function element-wise
    result = torch.relu(input_tensor)
    
    # Return the result
    return result

# Example usage
input_tensor = torch.tensor([5, 0, -3, 17, 2, 3, 4, 5], dtype=torch.float32)
result = relu__default_kernel_impl(input_tensor)
print(result)
