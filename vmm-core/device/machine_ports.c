/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which chip answers on which I/O port, and the few ports that are no chip of their own. */
#include "device/machine_private.h"

#define PORT_DEBUG_EXIT  0xf4
#define PORT_PIC_SLAVE   0xa0
#define PORT_ELCR_MASTER 0x4d0

/* Port 0x61 */
#define PORT_B_GATE2   (1u << 0)
#define PORT_B_SPEAKER (1u << 1)
#define PORT_B_CHECKS  0x0cu /* enables of two NMI sources that never report anything */
#define PORT_B_REFRESH (1u << 4)
#define PORT_B_OUT2    (1u << 5)
#define REFRESH_TICKS  18 /* counter 1's period: each refresh request turns the bit over */

/* Port 0x92 */
#define PORT_A_RESET (1u << 0)
#define PORT_A_A20   (1u << 1)

/* Port 0xcf9 */
#define RESET_SYSTEM    (1u << 1)
#define RESET_CPU       (1u << 2)
#define RESET_FULL      (1u << 3)

#define SPEAKER_COUNTER 2

/* A device's ports; wider accesses are split into ones of @width, as the bus does. */
struct port_range {
	uint16_t first, last;
	uint8_t width;
	uint32_t (*in)(struct machine *machine, uint16_t port, uint64_t now); /* NULL: all ones */
	void (*out)(struct machine *machine, uint16_t port, uint32_t value, uint64_t now);
};

static uint32_t uart_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return ns16550_in(&machine->uart, port & 7);
}

static void uart_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	ns16550_out(&machine->uart, port & 7, (uint8_t)value);
}

static uint32_t pic_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return i8259_in(&machine->pic, port >= PORT_PIC_SLAVE, port & 1);
}

static void pic_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	i8259_out(&machine->pic, port >= PORT_PIC_SLAVE, port & 1, (uint8_t)value);
}

static uint32_t elcr_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return i8259_elcr_in(&machine->pic, port - PORT_ELCR_MASTER);
}

static void elcr_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	i8259_elcr_out(&machine->pic, port - PORT_ELCR_MASTER, (uint8_t)value);
}

static uint32_t pit_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return i8254_in(&machine->pit, port & 3, now);
}

static void pit_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	i8254_out(&machine->pit, port & 3, (uint8_t)value, now);
}

static uint32_t port_b_in(struct machine *machine, uint16_t port, uint64_t now)
{
	uint8_t value = machine->port_b;

	if (i8254_ticks(now) / REFRESH_TICKS % 2)
		value |= PORT_B_REFRESH;
	if (i8254_out_level(&machine->pit, SPEAKER_COUNTER, now))
		value |= PORT_B_OUT2;
	return value;
}

static void port_b_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	machine->port_b = value & (PORT_B_GATE2 | PORT_B_SPEAKER | PORT_B_CHECKS);
	i8254_set_gate(&machine->pit, SPEAKER_COUNTER, value & PORT_B_GATE2, now);
}

static uint32_t keyboard_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return i8042_in(&machine->kbc, port & 4);
}

static void keyboard_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	if (i8042_out(&machine->kbc, port & 4, (uint8_t)value))
		machine_end_guest(machine, UMBRA_END_RESET, 0, "reset by port 0x64");
}

/* The page register of the DMA channel that there is not; firmware shows its progress there. */
static uint32_t post_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return machine->post_code;
}

static void post_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	machine->post_code = (uint8_t)value;
}

static uint32_t vga_port_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return vga_in(&machine->vga, port, now);
}

static void vga_port_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	vga_out(&machine->vga, port, (uint8_t)value);
}

static void fw_cfg_select_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	fw_cfg_select(&machine->fw_cfg, (uint16_t)value);
}

static uint32_t fw_cfg_data_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return fw_cfg_read(&machine->fw_cfg);
}

static uint32_t pm_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return acpi_pm_in(&machine->pm, port - ACPI_PM_BASE, now);
}

static void pm_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	if (acpi_pm_out(&machine->pm, port - ACPI_PM_BASE, (uint8_t)value, now))
		machine_end_guest(machine, UMBRA_END_POWER_OFF, 0, "");
}

static uint32_t rtc_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return mc146818_in(&machine->rtc, port & 1, now);
}

static void rtc_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	mc146818_out(&machine->rtc, port & 1, (uint8_t)value, now);
}

static uint32_t port_a_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return machine->port_a;
}

static void port_a_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	/* Address line 20 is never cut off; the bit remembers what the guest wished. */
	machine->port_a = value & PORT_A_A20;
	if (value & PORT_A_RESET)
		machine_end_guest(machine, UMBRA_END_RESET, 0, "reset by port 0x92");
}

/* SDM 1 D.2.1.2: with FERR# asserted IGNNE# is too, so that the handler can use the x87. */
static void ferr_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	machine->ignne |= machine->ferr_latch;
	machine->ferr_latch = false;
}

static void debug_exit_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	machine_end_guest(machine, UMBRA_END_DEBUG_EXIT, value, "");
}

static uint32_t reset_in(struct machine *machine, uint16_t port, uint64_t now)
{
	return machine->reset_control;
}

static void reset_out(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	bool rises = (value & RESET_CPU) && !(machine->reset_control & RESET_CPU);

	machine->reset_control = value & (RESET_SYSTEM | RESET_CPU | RESET_FULL);
	if (rises)
		machine_end_guest(machine, UMBRA_END_RESET, 0, "reset by port 0xcf9");
}

static uint32_t pci_address_read(struct machine *machine, uint16_t port, uint64_t now)
{
	return pci_address_in(&machine->pci);
}

static void pci_address_write(struct machine *machine, uint16_t port, uint32_t value, uint64_t now)
{
	pci_address_out(&machine->pci, value);
}

static uint32_t pci_data_read(struct machine *machine, uint16_t port, uint64_t now)
{
	return pci_data_in(&machine->pci);
}

/*
 * Rows are tried in order. One whose width is more than that of the access does not claim it:
 * CONFIG_ADDRESS is a 32-bit register, and the reset control lies in the middle of it.
 */
static const struct port_range port_ranges[] = {
	{0x3f8, 0x3ff, 1, uart_in, uart_out},
	{0x020, 0x021, 1, pic_in, pic_out},
	{0x0a0, 0x0a1, 1, pic_in, pic_out},
	{0x040, 0x043, 1, pit_in, pit_out},
	{0x061, 0x061, 1, port_b_in, port_b_out},
	{0x060, 0x060, 1, keyboard_in, keyboard_out},
	{0x064, 0x064, 1, keyboard_in, keyboard_out},
	{0x070, 0x071, 1, rtc_in, rtc_out},
	{0x080, 0x080, 1, post_in, post_out},
	{0x092, 0x092, 1, port_a_in, port_a_out},
	{0x0f0, 0x0f0, 1, NULL, ferr_out},
	{VGA_FIRST_PORT, VGA_LAST_PORT, 1, vga_port_in, vga_port_out},
	{0x4d0, 0x4d1, 1, elcr_in, elcr_out},
	{FW_CFG_PORT, FW_CFG_PORT, 2, NULL, fw_cfg_select_out},
	{FW_CFG_PORT_DATA, FW_CFG_PORT_DATA, 1, fw_cfg_data_in, NULL},
	{ACPI_PM_BASE, ACPI_PM_BASE + ACPI_PM_SIZE - 1, 1, pm_in, pm_out},
	{0xcf8, 0xcf8, 4, pci_address_read, pci_address_write},
	{0xcf9, 0xcf9, 1, reset_in, reset_out},
	{0xcfc, 0xcff, 1, pci_data_read, NULL},
};

static uint32_t all_ones(unsigned size)
{
	return size == 4 ? UINT32_MAX : (1u << 8 * size) - 1;
}

static const struct port_range *find(uint16_t port, unsigned size)
{
	for (size_t i = 0; i < sizeof(port_ranges) / sizeof(port_ranges[0]); i++) {
		const struct port_range *range = &port_ranges[i];

		if (port >= range->first && port <= range->last && range->width <= size)
			return range;
	}
	return NULL;
}

uint32_t machine_port_in(struct machine *machine, uint16_t port, unsigned size, uint64_t now)
{
	const struct port_range *range = find(port, size);
	uint32_t value = all_ones(size);

	if (range && range->width == size) {
		if (range->in)
			value = range->in(machine, port, now);
	} else if (size > 1) {
		value = machine_port_in(machine, port, size / 2, now);
		value |= machine_port_in(machine, (uint16_t)(port + size / 2), size / 2, now)
			 << 8 * (size / 2);
	}
	return value & all_ones(size);
}

void machine_port_out(struct machine *machine, uint16_t port, unsigned size, uint32_t value,
		      uint64_t now)
{
	const struct port_range *range = find(port, size);

	value &= all_ones(size);
	if (port == PORT_DEBUG_EXIT) { /* takes any size whole */
		debug_exit_out(machine, port, value, now);
	} else if (range && range->width == size) {
		if (range->out)
			range->out(machine, port, value, now);
	} else if (size > 1) {
		machine_port_out(machine, port, size / 2, value & all_ones(size / 2), now);
		machine_port_out(machine, (uint16_t)(port + size / 2), size / 2,
				 value >> 8 * (size / 2), now);
	}
}

void machine_ports_init(struct machine *machine)
{
	machine->port_a = PORT_A_A20;
}
