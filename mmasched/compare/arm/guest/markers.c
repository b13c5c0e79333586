/* The marker instructions of build/harness.c as functions of a library. */
void marker_begin(void) { __asm__ volatile(".inst 0xaa1103ff" ::: "memory"); }
void marker_end(void) { __asm__ volatile(".inst 0xaa1203ff" ::: "memory"); }
