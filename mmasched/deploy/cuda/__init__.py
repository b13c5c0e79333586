"""Networks for NVIDIA GPUs: one program for each distinct kernel, launched in order on one block of memory."""
