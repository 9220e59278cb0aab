/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Loads and stores in the memory of devices. */
#include "x86/block.h"
#include "x86/mem.h"

/* What a bus cycle carries: the largest aligned piece, as wide as a quadword. */
static unsigned piece(uint64_t gpa, unsigned left)
{
	unsigned size = sizeof(uint64_t);

	while (size > left || gpa % size)
		size /= 2;
	return size;
}

void x86_look_at_machine(struct x86_cpu *cpu)
{
	cpu->device_accessed = true;
	hw_public(cpu->hw)->attention = true;
}

void x86_device_read(struct x86_cpu *cpu, uint64_t gpa, unsigned size, void *ret)
{
	uint64_t now = x86_exact_time(cpu), value;
	uint8_t *to = ret;
	unsigned n;

	for (; size; size -= n, gpa += n, to += n) {
		n = piece(gpa, size);
		value = machine_mmio_read(cpu->machine, cpu->index, gpa, n, now);
		memcpy(to, &value, n);
	}
	x86_look_at_machine(cpu);
}

void x86_device_write(struct x86_cpu *cpu, uint64_t gpa, unsigned size, const void *bytes)
{
	uint64_t now = x86_exact_time(cpu), value = 0;
	const uint8_t *from = bytes;
	unsigned n;

	for (; size; size -= n, gpa += n, from += n) {
		n = piece(gpa, size);
		memcpy(&value, from, n);
		machine_mmio_write(cpu->machine, cpu->index, gpa, n, value, now);
	}
	x86_look_at_machine(cpu);
}
