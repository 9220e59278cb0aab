/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The machine around the CPU: what answers on its I/O ports, its interrupt line, its timers.
 * Knows guest time only as the number that its callers pass in; has no clock of its own.
 */
#ifndef DEVICE_MACHINE_H
#define DEVICE_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/end.h"
#include "umbra/guest.h"

struct machine;

/* Guest time: units of a nominal 1 GHz. */
#define MACHINE_TIME_HZ  1000000000ULL
#define MACHINE_MAX_CPUS 8

struct machine_config {
	struct umbra_console console;
	uint64_t memory_size; /* bytes of RAM */
	unsigned nr_cpus;     /* 1 ... MACHINE_MAX_CPUS */
	/*
	 * Not NULL: interrupt controllers and PIT are somebody else's, KVM's, who also answers for
	 * them; here they keep still. Called for each ISA interrupt that rises or falls.
	 */
	void (*set_line)(void *context, unsigned irq, bool level);
	void *context;
};

/* What reaches a vCPU beside interrupts (SDM 3A 10.5.1, 8.4.2). */
enum machine_signal { MACHINE_NONE, MACHINE_NMI, MACHINE_INIT, MACHINE_SIPI };

/* -EINVAL: nr_cpus; -ENOMEM. */
int machine_create(const struct machine_config *config, struct machine **ret_machine);
void machine_destroy(struct machine *machine);
/* As configured. */
unsigned machine_cpus(const struct machine *machine);

/* IN and OUT. @size: 1, 2 or 4 bytes. A port that nobody claims reads all ones. @now: guest time.
 */
uint32_t machine_in(struct machine *machine, uint16_t port, unsigned size, uint64_t now);
void machine_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
		 uint64_t now);

/*
 * A load or store of vCPU @cpu in device memory, @size 1, 2, 4 or 8 bytes that lie within 8 aligned
 * ones. What nobody claims reads all ones.
 */
uint64_t machine_mmio_read(struct machine *machine, unsigned cpu, uint64_t gpa, unsigned size,
			   uint64_t now);
void machine_mmio_write(struct machine *machine, unsigned cpu, uint64_t gpa, unsigned size,
			uint64_t value, uint64_t now);

/*
 * RDMSR and WRMSR of IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC's MSRs (0x800 ... 0x8ff).
 * False: #GP(0).
 */
bool machine_msr_read(struct machine *machine, unsigned cpu, uint32_t msr, uint64_t *ret_value,
		      uint64_t now);
bool machine_msr_write(struct machine *machine, unsigned cpu, uint32_t msr, uint64_t value,
		       uint64_t now);
/* Where the registers of vCPU @cpu's local APIC are: of a page. */
uint64_t machine_apic_page(const struct machine *machine, unsigned cpu);
/* A local APIC or the I/O APIC is in the page at @gpa. */
bool machine_is_device(const struct machine *machine, uint64_t gpa);
/* The TSC of @cpu is guest time plus @offset from now on: the TSC-deadline timer compares it. */
void machine_set_tsc_offset(struct machine *machine, unsigned cpu, uint64_t offset);

/* CR8: bits 7:4 of the task priority (SDM 3A 10.8.6). */
uint8_t machine_tpr(const struct machine *machine, unsigned cpu);
void machine_set_tpr(struct machine *machine, unsigned cpu, uint8_t cr8);

/*
 * A vCPU asserts FERR#: IRQ 13, as in PCs since the AT, whose handler writes to port 0xf0. That
 * lowers the interrupt and asserts IGNNE#, until the next call.
 */
void machine_coprocessor_error(struct machine *machine, uint64_t now);
bool machine_ignores_coprocessor_error(const struct machine *machine);

/*
 * Not NULL once a device ended the guest (debug exit, power-off, reset): asked after each
 * machine_out() and machine_msr_write().
 */
const struct umbra_end *machine_end(const struct machine *machine);

/* Lets timers run up to @now. Cheap when nothing is due. */
void machine_advance(struct machine *machine, uint64_t now);
/* Guest time at which machine_advance() is due next; UINT64_MAX: never. Any call may change it. */
uint64_t machine_next_event(const struct machine *machine);

/* An interrupt asks for vCPU @cpu. Any call, also of another vCPU, may change it. Cheap. */
bool machine_interrupt_pending(const struct machine *machine, unsigned cpu);
/* vCPU @cpu takes the interrupt: its vector. */
uint8_t machine_interrupt_acknowledge(struct machine *machine, unsigned cpu);

/* An NMI, INIT or SIPI waits for vCPU @cpu. Cheap. */
bool machine_signal_pending(const struct machine *machine, unsigned cpu);
/*
 * Takes the one that goes first: INIT, SIPI, NMI. *ret_vector: of the SIPI. A SIPI to a vCPU that
 * is not waiting for one has no effect, and an NMI may be blocked: those are the CPU's business.
 */
enum machine_signal machine_take_signal(struct machine *machine, unsigned cpu, uint8_t *ret_vector);

#endif
