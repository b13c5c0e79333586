"""The C++ side of the emulator, shipped as text: kernels compile against its headers, its sources once per machine."""
