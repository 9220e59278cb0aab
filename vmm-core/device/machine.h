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
#define MACHINE_TIME_HZ 1000000000ULL

/* -ENOMEM. */
int machine_create(const struct umbra_console *console, uint64_t memory_size,
		   struct machine **ret_machine);
void machine_destroy(struct machine *machine);

/* IN and OUT. @size: 1, 2 or 4 bytes. A port that nobody claims reads all ones. @now: guest time.
 */
uint32_t machine_in(struct machine *machine, uint16_t port, unsigned size, uint64_t now);
void machine_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
		 uint64_t now);

/* Not NULL once a device ended the guest (debug exit, reset): asked after each machine_out(). */
const struct umbra_end *machine_end(const struct machine *machine);

/* Lets timers run up to @now. Cheap when nothing is due. */
void machine_advance(struct machine *machine, uint64_t now);
/* Guest time at which machine_advance() is due next; UINT64_MAX: never. Changes after in, out,
 * advance. */
uint64_t machine_next_event(const struct machine *machine);

/* The INTR line of the CPU. Changes after in, out, advance, interrupt_acknowledge. */
bool machine_interrupt_pending(const struct machine *machine);
/* The CPU takes the interrupt: its vector. */
uint8_t machine_interrupt_acknowledge(struct machine *machine);

#endif
