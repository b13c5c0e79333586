/* The part of qemu's plugin interface that counting needs, declared from its documentation ("QEMU TCG Plugins"), since
 * distributions ship qemu without its header. API is the interface's version: 1 up to qemu 8.2, 2 in 9.0, 3 in 9.1,
 * 4 from 9.2 on; qemu refuses plugins that export another. */
#ifndef MMASCHED_QEMU_PLUGIN_API_H
#define MMASCHED_QEMU_PLUGIN_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define EXPORTED __attribute__((visibility("default")))

struct qemu_info_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;

enum { WITHOUT_REGISTERS = 0 };
enum { READS_AND_WRITES = 3 };

typedef void (*translated_callback)(uint64_t id, struct qemu_plugin_tb *block);
typedef void (*executed_callback)(unsigned cpu, void *data);
typedef void (*memory_callback)(unsigned cpu, uint32_t info, uint64_t address, void *data);
typedef void (*exit_callback)(uint64_t id, void *data);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, translated_callback callback);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, executed_callback, int registers, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, executed_callback, int registers, void *data);
void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *, memory_callback, int registers, int which, void *data);
void qemu_plugin_register_atexit_cb(uint64_t id, exit_callback callback, void *data);

size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
uint64_t qemu_plugin_tb_vaddr(const struct qemu_plugin_tb *);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t index);
#if API >= 3
size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *target, size_t size);
#else
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *);
#endif
unsigned qemu_plugin_mem_size_shift(uint32_t info);
bool qemu_plugin_mem_is_store(uint32_t info);

#endif
