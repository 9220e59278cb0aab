/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A 16550A UART whose line is infinitely fast: what the guest sends leaves at once, and the next
 * byte of input is there when the guest looks (reads RBR, IIR or LSR). While it waits for an
 * interrupt instead, the line is looked at for it: the time of a character after it began to wait,
 * then, as long as nothing comes, every 10 ms of guest time.
 *
 * The terminal at the other end heeds RTS, which firmware leaves set, and so nothing is lost while
 * a driver sets the UART up; what is in the FIFO when a driver clears it comes again.
 */
#ifndef DEVICE_NS16550_H
#define DEVICE_NS16550_H

#include <stdbool.h>
#include <stdint.h>

#include "umbra/guest.h"

#define NS16550_FIFO_SIZE 16

struct ns16550 {
	struct umbra_console console;
	uint8_t fifo[NS16550_FIFO_SIZE];
	uint8_t fifo_first, fifo_count;
	uint8_t ier, lcr, mcr, scr;
	uint8_t divisor_low, divisor_high;
	uint8_t trigger; /* bytes in the FIFO that raise "received data available" */
	uint8_t msr_delta;
	bool fifo_enabled;
	bool overrun;
	bool thr_empty;     /* the THRE interrupt is due */
	bool from_line;     /* the byte in the FIFO is the terminal's */
	int held;           /* the terminal's byte that comes again; -1: none */
	uint64_t next_poll; /* guest time; UINT64_MAX: the guest does not wait for input */
};

void ns16550_init(struct ns16550 *uart, const struct umbra_console *console);
/* @reg: 0 ... 7 */
uint8_t ns16550_in(struct ns16550 *uart, unsigned reg);
void ns16550_out(struct ns16550 *uart, unsigned reg, uint8_t value);
/* Level of the interrupt line; changes after in and out. */
bool ns16550_interrupt(const struct ns16550 *uart);

/* Looks for input that the guest waits for. Call it after each out too. */
void ns16550_advance(struct ns16550 *uart, uint64_t now);
uint64_t ns16550_next_event(const struct ns16550 *uart);

#endif
