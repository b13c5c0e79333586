"""CUDA templates: convolutions on tensor cores as explicit TIRx."""
