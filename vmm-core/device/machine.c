/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The wires between a machine's chips, its CPUs and its memory. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "device/firmware.h"
#include "device/machine_private.h"

#define BOOT_CPU         0 /* whose LINT0 the 8259s drive */
#define IOAPIC_PIN_TIMER 2 /* ISA interrupt 0; the others are wired to pins of their number */

#define MSR_APIC_BASE    0x1bu
#define MSR_TSC_DEADLINE 0x6e0u
#define MSR_X2APIC       0x800u
#define MSR_X2APIC_LAST  0x8ffu

void machine_end_guest(struct machine *machine, enum umbra_end_reason reason, uint32_t value,
		       const char *text)
{
	if (machine->end.reason != UMBRA_END_NONE)
		return;
	machine->end.reason = reason;
	machine->end.value = value;
	snprintf(machine->end.text, sizeof(machine->end.text), "%s", text);
}

static unsigned ioapic_pin(unsigned irq)
{
	return irq == IRQ_TIMER ? IOAPIC_PIN_TIMER : irq;
}

void machine_set_irq(struct machine *machine, unsigned irq, bool level)
{
	if (machine->set_line) {
		if ((machine->lines >> irq & 1) != level)
			machine->set_line(machine->context, irq, level);
		machine->lines =
			(uint16_t)((machine->lines & ~(1u << irq)) | (unsigned)level << irq);
		return;
	}
	i8259_set_line(&machine->pic, irq, level);
	ioapic_set_line(&machine->apics.ioapic, ioapic_pin(irq), level);
}

/* Chips whose interrupt is a level that follows their registers. */
static void set_lines(struct machine *machine)
{
	machine_set_irq(machine, IRQ_KEYBOARD, i8042_interrupt(&machine->kbc, false));
	machine_set_irq(machine, IRQ_UART, ns16550_interrupt(&machine->uart));
	machine_set_irq(machine, IRQ_RTC, mc146818_interrupt(&machine->rtc));
	acpi_pm_set_rtc(&machine->pm, mc146818_interrupt(&machine->rtc));
	machine_set_irq(machine, IRQ_SCI, acpi_pm_interrupt(&machine->pm));
	machine_set_irq(machine, IRQ_MOUSE, i8042_interrupt(&machine->kbc, true));
	machine_set_irq(machine, IRQ_FERR, machine->ferr_latch);
}

static void run_timers(struct machine *machine, uint64_t now)
{
	machine->now = now;
	if (!machine->set_line && i8254_advance(&machine->pit, now)) {
		machine_set_irq(machine, IRQ_TIMER, false);
		machine_set_irq(machine, IRQ_TIMER, true);
	}
	mc146818_advance(&machine->rtc, now);
	acpi_pm_advance(&machine->pm, now);
	ns16550_advance(&machine->uart, now);
	for (unsigned i = 0; !machine->set_line && i < machine->apics.nr_lapics; i++)
		lapic_advance(&machine->apics.lapic[i], now);
	set_lines(machine);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* An interrupt that nobody would see: masked at the 8259s and at the I/O APIC. */
static bool unheard(const struct machine *machine, unsigned irq)
{
	return !machine->set_line && i8259_masked(&machine->pic, irq) &&
	       ioapic_masked(&machine->apics.ioapic, ioapic_pin(irq));
}

/*
 * After anything may have changed: passes INTR of the 8259s on, plans the next event. A masked
 * timer needs nobody's attention: the edges that it has had by then are found when the guest looks
 * at the PIC or unmasks it, for every access runs the timers first.
 */
static void settle(struct machine *machine)
{
	uint64_t next = UINT64_MAX;

	set_lines(machine);
	if (!machine->set_line) {
		lapic_set_lint(&machine->apics.lapic[BOOT_CPU], 0, i8259_pending(&machine->pic));
		if (!unheard(machine, IRQ_TIMER))
			next = i8254_next_edge(&machine->pit);
		for (unsigned i = 0; i < machine->apics.nr_lapics; i++)
			next = earlier(next, lapic_next_event(&machine->apics.lapic[i]));
	}
	if (!unheard(machine, IRQ_UART))
		next = earlier(next, ns16550_next_event(&machine->uart));
	if (!unheard(machine, IRQ_RTC))
		next = earlier(next, mc146818_next_event(&machine->rtc));
	if (!unheard(machine, IRQ_SCI))
		next = earlier(next, acpi_pm_next_event(&machine->pm));
	machine->next_event = next;
}

uint32_t machine_in(struct machine *machine, uint16_t port, unsigned size, uint64_t now)
{
	uint32_t value;

	run_timers(machine, now);
	value = machine_port_in(machine, port, size, now);
	settle(machine);
	return value;
}

void machine_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
		 uint64_t now)
{
	run_timers(machine, now);
	machine_port_out(machine, port, size, value, now);
	run_timers(machine, now); /* a control word may have raised OUT 0 */
	settle(machine);
}

/* The 32-bit register in which @gpa lies; all ones where there is none. */
static uint32_t register_read(struct machine *machine, unsigned cpu, uint64_t gpa, uint64_t now)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];

	if (gpa - lapic_page(lapic) < LAPIC_SIZE && lapic_has_mmio(lapic))
		return lapic_read(lapic, (uint32_t)(gpa - lapic_page(lapic)), now);
	if (gpa - IOAPIC_BASE < IOAPIC_SIZE)
		return ioapic_read(&machine->apics.ioapic, (uint32_t)(gpa - IOAPIC_BASE));
	return UINT32_MAX;
}

static void register_write(struct machine *machine, unsigned cpu, uint64_t gpa, uint32_t value,
			   uint64_t now)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];

	if (gpa - lapic_page(lapic) < LAPIC_SIZE && lapic_has_mmio(lapic))
		lapic_write(lapic, (uint32_t)(gpa - lapic_page(lapic)), value, now);
	else if (gpa - IOAPIC_BASE < IOAPIC_SIZE)
		ioapic_write(&machine->apics.ioapic, (uint32_t)(gpa - IOAPIC_BASE), value);
}

uint64_t machine_mmio_read(struct machine *machine, unsigned cpu, uint64_t gpa, unsigned size,
			   uint64_t now)
{
	uint64_t value, aligned = gpa & ~3ull;

	run_timers(machine, now);
	value = register_read(machine, cpu, aligned, now);
	if ((gpa & 3) + size > 4)
		value |= (uint64_t)register_read(machine, cpu, aligned + 4, now) << 32;
	settle(machine);
	return value >> 8 * (gpa & 3) & (UINT64_MAX >> (64 - 8 * size));
}

/* Writes that are not of whole registers are lost: none of the registers takes them. */
void machine_mmio_write(struct machine *machine, unsigned cpu, uint64_t gpa, unsigned size,
			uint64_t value, uint64_t now)
{
	run_timers(machine, now);
	if (gpa % 4 == 0 && size >= 4)
		register_write(machine, cpu, gpa, (uint32_t)value, now);
	if (gpa % 4 == 0 && size == 8)
		register_write(machine, cpu, gpa + 4, (uint32_t)(value >> 32), now);
	run_timers(machine, now); /* a count may be so short that it is over */
	settle(machine);
}

bool machine_msr_read(struct machine *machine, unsigned cpu, uint32_t msr, uint64_t *ret_value,
		      uint64_t now)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];
	bool known = true;

	run_timers(machine, now);
	if (msr == MSR_APIC_BASE)
		*ret_value = lapic->base;
	else if (msr == MSR_TSC_DEADLINE)
		*ret_value = lapic->timer.deadline;
	else
		known = msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST &&
			lapic_read_msr(lapic, msr, ret_value, now);
	settle(machine);
	return known;
}

static bool set_apic_base(struct machine *machine, struct lapic *lapic, uint64_t value)
{
	char text[128];

	if (!lapic_set_base(lapic, value))
		return false;
	if (lapic_page(lapic) < machine->memory_size) {
		snprintf(text, sizeof(text),
			 "a local APIC at 0x%llx (IA32_APIC_BASE), over RAM, is not in this build",
			 (unsigned long long)lapic_page(lapic));
		machine_end_guest(machine, UMBRA_END_ERROR, 0, text);
	}
	return true;
}

uint64_t machine_apic_page(const struct machine *machine, unsigned cpu)
{
	return lapic_page(&machine->apics.lapic[cpu]);
}

bool machine_is_device(const struct machine *machine, uint64_t gpa)
{
	for (unsigned i = 0; i < machine->apics.nr_lapics; i++) {
		if (gpa - lapic_page(&machine->apics.lapic[i]) < LAPIC_SIZE)
			return true;
	}
	return gpa - IOAPIC_BASE < IOAPIC_SIZE;
}

bool machine_msr_write(struct machine *machine, unsigned cpu, uint32_t msr, uint64_t value,
		       uint64_t now)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];
	bool done = true;

	run_timers(machine, now);
	if (msr == MSR_APIC_BASE)
		done = set_apic_base(machine, lapic, value);
	else if (msr == MSR_TSC_DEADLINE)
		lapic_timer_set_deadline(&lapic->timer, value, now);
	else
		done = msr >= MSR_X2APIC && msr <= MSR_X2APIC_LAST &&
		       lapic_write_msr(lapic, msr, value, now);
	run_timers(machine, now); /* a deadline may have passed already */
	settle(machine);
	return done;
}

void machine_set_tsc_offset(struct machine *machine, unsigned cpu, uint64_t offset)
{
	lapic_timer_set_tsc_offset(&machine->apics.lapic[cpu].timer, offset, machine->now);
	settle(machine);
}

uint8_t machine_tpr(const struct machine *machine, unsigned cpu)
{
	return machine->apics.lapic[cpu].tpr >> 4;
}

void machine_set_tpr(struct machine *machine, unsigned cpu, uint8_t cr8)
{
	lapic_set_tpr(&machine->apics.lapic[cpu], (uint8_t)(cr8 << 4));
}

void machine_coprocessor_error(struct machine *machine, uint64_t now)
{
	run_timers(machine, now);
	machine->ferr_latch = true;
	machine->ignne = false;
	settle(machine);
}

bool machine_ignores_coprocessor_error(const struct machine *machine)
{
	return machine->ignne;
}

const struct umbra_end *machine_end(const struct machine *machine)
{
	return machine->end.reason == UMBRA_END_NONE ? NULL : &machine->end;
}

void machine_advance(struct machine *machine, uint64_t now)
{
	if (now < machine->next_event)
		return;
	run_timers(machine, now);
	settle(machine);
}

uint64_t machine_next_event(const struct machine *machine)
{
	return machine->next_event;
}

bool machine_interrupt_pending(const struct machine *machine, unsigned cpu)
{
	const struct lapic *lapic = &machine->apics.lapic[cpu];

	return lapic->requested || lapic_extint_pending(lapic);
}

uint8_t machine_interrupt_acknowledge(struct machine *machine, unsigned cpu)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];
	uint8_t vector;

	/* Two ask at once: the manual leaves open who goes first. */
	if (!lapic_extint_pending(lapic))
		return lapic_acknowledge(lapic);
	lapic_extint_acknowledged(lapic);
	vector = i8259_acknowledge(&machine->pic);
	settle(machine);
	return vector;
}

bool machine_signal_pending(const struct machine *machine, unsigned cpu)
{
	const struct lapic *lapic = &machine->apics.lapic[cpu];

	return lapic->init || lapic->startup || lapic->nmi;
}

enum machine_signal machine_take_signal(struct machine *machine, unsigned cpu, uint8_t *ret_vector)
{
	struct lapic *lapic = &machine->apics.lapic[cpu];

	if (lapic->init) {
		lapic_take_init(lapic);
		settle(machine);
		return MACHINE_INIT;
	}
	if (lapic->startup) {
		lapic->startup = false;
		*ret_vector = lapic->startup_vector;
		return MACHINE_SIPI;
	}
	if (lapic->nmi) {
		lapic->nmi = false;
		return MACHINE_NMI;
	}
	return MACHINE_NONE;
}

int machine_create(const struct machine_config *config, struct machine **ret_machine)
{
	struct machine *machine;

	if (config->nr_cpus < 1 || config->nr_cpus > MACHINE_MAX_CPUS)
		return -EINVAL;
	machine = calloc(1, sizeof(*machine));
	if (!machine)
		return -ENOMEM;
	machine->memory_size = config->memory_size;
	machine->set_line = config->set_line;
	machine->context = config->context;
	i8259_init(&machine->pic);
	i8254_init(&machine->pit);
	ns16550_init(&machine->uart, &config->console);
	mc146818_init(&machine->rtc, config->memory_size);
	pci_init(&machine->pci);
	i8042_init(&machine->kbc);
	vga_init(&machine->vga);
	fw_cfg_init(&machine->fw_cfg, config->memory_size, config->nr_cpus);
	i8259_elcr_out(&machine->pic, IRQ_SCI / 8, 1u << IRQ_SCI % 8); /* the SCI is a level */
	apic_bus_init(&machine->apics, config->nr_cpus);
	machine->apics.ioapic.id = FIRMWARE_IOAPIC_ID;
	lapic_virtual_wire(&machine->apics.lapic[BOOT_CPU]);
	machine_ports_init(machine);
	settle(machine);
	*ret_machine = machine;
	return 0;
}

void machine_destroy(struct machine *machine)
{
	free(machine);
}

unsigned machine_cpus(const struct machine *machine)
{
	return machine->apics.nr_lapics;
}
