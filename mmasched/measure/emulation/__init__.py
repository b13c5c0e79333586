"""Running and pricing code for chips that are not here: qemu, a counting plugin of ours, and llvm-mca."""
