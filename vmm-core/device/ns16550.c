/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/machine.h"
#include "device/ns16550.h"

enum ns16550_register {
	REG_DATA, /* RBR, THR; DLL with DLAB */
	REG_IER,  /* DLM with DLAB */
	REG_IIR,  /* FCR when written */
	REG_LCR,
	REG_MCR,
	REG_LSR,
	REG_MSR,
	REG_SCR,
};

#define IER_ERBFI    (1u << 0)
#define IER_ETBEI    (1u << 1)
#define IER_ELSI     (1u << 2)
#define IER_EDSSI    (1u << 3)
#define IER_ALL      (IER_ERBFI | IER_ETBEI | IER_ELSI | IER_EDSSI)

#define IIR_MODEM    0x00u
#define IIR_NONE     0x01u
#define IIR_THRE     0x02u
#define IIR_DATA     0x04u
#define IIR_LINE     0x06u
#define IIR_TIMEOUT  0x0cu
#define IIR_FIFOS    0xc0u

#define FCR_ENABLE   (1u << 0)
#define FCR_CLEAR_RX (1u << 1)
#define FCR_TRIGGER  6 /* shift */

#define LCR_DLAB     (1u << 7)

#define MCR_DTR      (1u << 0)
#define MCR_RTS      (1u << 1)
#define MCR_OUT1     (1u << 2)
#define MCR_OUT2     (1u << 3) /* a PC's gate between the UART and its interrupt line */
#define MCR_LOOP     (1u << 4)
#define MCR_ALL      (MCR_DTR | MCR_RTS | MCR_OUT1 | MCR_OUT2 | MCR_LOOP)

#define LSR_DR       (1u << 0)
#define LSR_OE       (1u << 1)
#define LSR_THRE     (1u << 5)
#define LSR_TEMT     (1u << 6)

#define MSR_TERI     (1u << 2)
#define MSR_CTS      (1u << 4)
#define MSR_DSR      (1u << 5)
#define MSR_RI       (1u << 6)
#define MSR_DCD      (1u << 7)
#define MSR_DELTA    4 /* shift from a line to the bit that says it changed */

/* A character has ten bits of 16 clocks each, times the divisor. */
#define CLOCK_HZ         1843200u
#define CHARACTER_CLOCKS 160u
#define POLL_TIME        (MACHINE_TIME_HZ / 100)

static const uint8_t triggers[4] = {1, 4, 8, 14};

void ns16550_init(struct ns16550 *uart, const struct umbra_console *console)
{
	memset(uart, 0, sizeof(*uart));
	uart->console = *console;
	uart->divisor_low = 1;
	uart->trigger = 1;
	uart->mcr = MCR_DTR | MCR_RTS;
	uart->held = -1;
	uart->next_poll = UINT64_MAX;
}

static void receive(struct ns16550 *uart, uint8_t byte)
{
	unsigned capacity = uart->fifo_enabled ? NS16550_FIFO_SIZE : 1;

	if (uart->fifo_count == capacity) {
		uart->overrun = true;
		if (!uart->fifo_enabled)
			uart->fifo[uart->fifo_first] = byte;
		return;
	}
	uart->fifo[(uart->fifo_first + uart->fifo_count) % NS16550_FIFO_SIZE] = byte;
	uart->fifo_count++;
}

/* The guest looks: a byte of input arrives, if there is one and the last one is gone. */
static void poll_console(struct ns16550 *uart)
{
	int byte;

	if (uart->fifo_count || (uart->mcr & MCR_LOOP) || !(uart->mcr & MCR_RTS) ||
	    !uart->console.read)
		return;
	byte = uart->held >= 0 ? uart->held : uart->console.read(uart->console.context);
	uart->held = -1;
	if (byte < 0)
		return;
	receive(uart, (uint8_t)byte);
	uart->from_line = true;
}

/* Levels of the modem lines: a cable with a terminal that is ready, or the loop. */
static uint8_t modem_lines(const struct ns16550 *uart)
{
	uint8_t lines = 0;

	if (!(uart->mcr & MCR_LOOP))
		return MSR_CTS | MSR_DSR | MSR_DCD;
	if (uart->mcr & MCR_RTS)
		lines |= MSR_CTS;
	if (uart->mcr & MCR_DTR)
		lines |= MSR_DSR;
	if (uart->mcr & MCR_OUT1)
		lines |= MSR_RI;
	if (uart->mcr & MCR_OUT2)
		lines |= MSR_DCD;
	return lines;
}

static void write_mcr(struct ns16550 *uart, uint8_t value)
{
	uint8_t before = modem_lines(uart), after, changed;

	uart->mcr = value & MCR_ALL;
	after = modem_lines(uart);
	changed = before ^ after;
	uart->msr_delta |= (changed & (MSR_CTS | MSR_DSR | MSR_DCD)) >> MSR_DELTA;
	if (changed & before & MSR_RI) /* only its trailing edge counts */
		uart->msr_delta |= MSR_TERI;
}

static void write_fcr(struct ns16550 *uart, uint8_t value)
{
	bool enable = value & FCR_ENABLE;

	if (enable != uart->fifo_enabled || (enable && (value & FCR_CLEAR_RX))) {
		if (uart->fifo_count && uart->from_line)
			uart->held = uart->fifo[uart->fifo_first];
		uart->fifo_count = 0;
		uart->from_line = false;
	}
	uart->fifo_enabled = enable;
	uart->trigger = enable ? triggers[value >> FCR_TRIGGER] : 1;
}

/* What IIR says: the cause of highest priority. */
static uint8_t cause(const struct ns16550 *uart)
{
	if ((uart->ier & IER_ELSI) && uart->overrun)
		return IIR_LINE;
	if ((uart->ier & IER_ERBFI) && uart->fifo_count >= uart->trigger)
		return IIR_DATA;
	/* Below the trigger level no more bytes will come until the guest looks: time is up. */
	if ((uart->ier & IER_ERBFI) && uart->fifo_count)
		return IIR_TIMEOUT;
	if ((uart->ier & IER_ETBEI) && uart->thr_empty)
		return IIR_THRE;
	if ((uart->ier & IER_EDSSI) && uart->msr_delta)
		return IIR_MODEM;
	return IIR_NONE;
}

bool ns16550_interrupt(const struct ns16550 *uart)
{
	/* The loop forces the OUT2 pin inactive. */
	return (uart->mcr & MCR_OUT2) && !(uart->mcr & MCR_LOOP) && cause(uart) != IIR_NONE;
}

static uint8_t read_data(struct ns16550 *uart)
{
	uint8_t byte = uart->fifo[uart->fifo_first];

	if (!uart->fifo_count)
		return byte;
	/* Without FIFOs the register keeps the byte. */
	uart->fifo_count--;
	uart->from_line = false;
	if (uart->fifo_enabled)
		uart->fifo_first = (uart->fifo_first + 1) % NS16550_FIFO_SIZE;
	return byte;
}

uint8_t ns16550_in(struct ns16550 *uart, unsigned reg)
{
	bool dlab = uart->lcr & LCR_DLAB;
	uint8_t value;

	switch ((enum ns16550_register)reg) {
	case REG_DATA:
		if (dlab)
			return uart->divisor_low;
		poll_console(uart);
		return read_data(uart);
	case REG_IER: return dlab ? uart->divisor_high : uart->ier;
	case REG_IIR:
		poll_console(uart);
		value = cause(uart);
		if (value == IIR_THRE)
			uart->thr_empty = false;
		return value | (uart->fifo_enabled ? IIR_FIFOS : 0);
	case REG_LCR: return uart->lcr;
	case REG_MCR: return uart->mcr;
	case REG_LSR:
		poll_console(uart);
		value = LSR_THRE | LSR_TEMT;
		if (uart->fifo_count)
			value |= LSR_DR;
		if (uart->overrun)
			value |= LSR_OE;
		uart->overrun = false;
		return value;
	case REG_MSR:
		value = modem_lines(uart) | uart->msr_delta;
		uart->msr_delta = 0;
		return value;
	case REG_SCR: return uart->scr;
	}
	return 0xff;
}

static void transmit(struct ns16550 *uart, uint8_t byte)
{
	if (uart->mcr & MCR_LOOP)
		receive(uart, byte);
	else if (uart->console.write)
		uart->console.write(uart->console.context, &byte, 1);
	uart->thr_empty = true;
}

void ns16550_out(struct ns16550 *uart, unsigned reg, uint8_t value)
{
	bool dlab = uart->lcr & LCR_DLAB;

	switch ((enum ns16550_register)reg) {
	case REG_DATA:
		if (dlab)
			uart->divisor_low = value;
		else
			transmit(uart, value);
		break;
	case REG_IER:
		if (dlab) {
			uart->divisor_high = value;
			break;
		}
		if ((value & IER_ETBEI) && !(uart->ier & IER_ETBEI))
			uart->thr_empty = true;
		uart->ier = value & IER_ALL;
		break;
	case REG_IIR: write_fcr(uart, value); break;
	case REG_LCR: uart->lcr = value; break;
	case REG_MCR: write_mcr(uart, value); break;
	case REG_LSR: /* read-only */
	case REG_MSR: break;
	case REG_SCR: uart->scr = value; break;
	}
}

/* Does it wait for an interrupt that a byte from the line would bring? */
static bool waits(const struct ns16550 *uart)
{
	return (uart->ier & IER_ERBFI) && (uart->mcr & MCR_OUT2) && (uart->mcr & MCR_RTS) &&
	       !(uart->mcr & MCR_LOOP) && !uart->fifo_count && uart->console.read;
}

void ns16550_advance(struct ns16550 *uart, uint64_t now)
{
	unsigned divisor = uart->divisor_high << 8 | uart->divisor_low;

	if (!waits(uart)) {
		uart->next_poll = UINT64_MAX;
	} else if (uart->next_poll == UINT64_MAX) {
		uart->next_poll = now + (divisor ? divisor : 1) * CHARACTER_CLOCKS *
						MACHINE_TIME_HZ / CLOCK_HZ;
	} else if (now >= uart->next_poll) {
		poll_console(uart);
		uart->next_poll = uart->fifo_count ? UINT64_MAX : now + POLL_TIME;
	}
}

uint64_t ns16550_next_event(const struct ns16550 *uart)
{
	return uart->next_poll;
}
