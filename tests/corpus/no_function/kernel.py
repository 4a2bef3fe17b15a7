"""Defines another function than the one asked for."""


def my_relu(x):
    return x
