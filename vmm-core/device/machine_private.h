/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The chips of a machine: for machine.c, which wires them, and machine_ports.c, their I/O ports. */
#ifndef DEVICE_MACHINE_PRIVATE_H
#define DEVICE_MACHINE_PRIVATE_H

#include "device/acpi_pm.h"
#include "device/apic_bus.h"
#include "device/fw_cfg.h"
#include "device/i8254.h"
#include "device/i8042.h"
#include "device/i8259.h"
#include "device/machine.h"
#include "device/mc146818.h"
#include "device/ns16550.h"
#include "device/pci.h"
#include "device/vga.h"

/* ISA interrupts */
#define IRQ_TIMER    0
#define IRQ_KEYBOARD 1
#define IRQ_UART     4
#define IRQ_RTC      8
#define IRQ_SCI      9
#define IRQ_MOUSE    12
#define IRQ_FERR     13

struct machine {
	struct i8259 pic;
	struct i8254 pit;
	struct ns16550 uart;
	struct mc146818 rtc;
	struct pci pci;
	struct acpi_pm pm;
	struct i8042 kbc;
	struct vga vga;
	struct fw_cfg fw_cfg;
	struct apic_bus apics;
	uint8_t port_a, port_b, post_code, reset_control;
	bool ferr_latch; /* drives IRQ 13 from FERR# until port 0xf0 is written */
	bool ignne;      /* from then on, until the next FERR# */
	uint64_t memory_size;
	uint64_t now; /* guest time of the last look at its clocks */
	uint64_t next_event;
	struct umbra_end end;
	/* See struct machine_config. */
	void (*set_line)(void *context, unsigned irq, bool level);
	void *context;
	uint16_t lines; /* their levels as set_line() was told */
};

void machine_end_guest(struct machine *machine, enum umbra_end_reason reason, uint32_t value,
		       const char *text);

/* ISA interrupt @irq at the 8259s and at the I/O APIC. */
void machine_set_irq(struct machine *machine, unsigned irq, bool level);

/* What the ports that are no chip hold at the start. */
void machine_ports_init(struct machine *machine);
/* One access to one port range; the caller has let the timers run. */
uint32_t machine_port_in(struct machine *machine, uint16_t port, unsigned size, uint64_t now);
void machine_port_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
		      uint64_t now);

#endif
