/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules of the PC16550D data sheet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>
#include <string.h>

#include "device/ns16550.h"

enum { DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR, FCR = IIR };

#define DLAB 0x80
#define RTS  0x02
#define OUT2 0x08
#define LOOP 0x10

struct terminal {
	char output[64];
	size_t output_length;
	const char *input;
	unsigned asked;
};

static void terminal_write(void *context, const uint8_t *bytes, size_t len)
{
	struct terminal *terminal = context;

	memcpy(terminal->output + terminal->output_length, bytes, len);
	terminal->output_length += len;
}

static int terminal_read(void *context)
{
	struct terminal *terminal = context;

	terminal->asked++;
	return *terminal->input ? (uint8_t)*terminal->input++ : -1;
}

static struct ns16550 uart;
static struct terminal terminal;

static int setup(void **state)
{
	struct umbra_console console = {terminal_write, terminal_read, &terminal};

	memset(&terminal, 0, sizeof(terminal));
	terminal.input = "";
	ns16550_init(&uart, &console);
	return 0;
}

static void what_is_written_to_thr_leaves_and_thr_is_empty_again(void **state)
{
	ns16550_out(&uart, DATA, 'o');
	ns16550_out(&uart, DATA, 'k');
	assert_int_equal(terminal.output_length, 2);
	assert_memory_equal(terminal.output, "ok", 2);
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
}

static void dlab_selects_the_divisor_latch(void **state)
{
	ns16550_out(&uart, IER, 0x01);
	ns16550_out(&uart, LCR, DLAB | 3);
	ns16550_out(&uart, DATA, 0x34);
	ns16550_out(&uart, IER, 0x12);
	assert_int_equal(ns16550_in(&uart, DATA), 0x34);
	assert_int_equal(ns16550_in(&uart, IER), 0x12);
	ns16550_out(&uart, LCR, 3);
	assert_int_equal(ns16550_in(&uart, IER), 0x01);
	assert_int_equal(terminal.output_length, 0);
	assert_int_equal(terminal.asked, 0);
}

static void scratch_register_keeps_its_value(void **state)
{
	ns16550_out(&uart, SCR, 0xa5);
	assert_int_equal(ns16550_in(&uart, SCR), 0xa5);
}

static void upper_half_of_ier_reads_zero(void **state)
{
	ns16550_out(&uart, IER, 0xff);
	assert_int_equal(ns16550_in(&uart, IER), 0x0f);
}

static void input_is_asked_for_only_when_the_guest_looks(void **state)
{
	terminal.input = "x";
	ns16550_out(&uart, DATA, 'a');
	ns16550_in(&uart, MSR);
	ns16550_in(&uart, LCR);
	ns16550_in(&uart, SCR);
	assert_int_equal(terminal.asked, 0);
	assert_int_equal(ns16550_in(&uart, LSR), 0x61);
	assert_int_equal(terminal.asked, 1);
	ns16550_in(&uart, LSR);
	assert_int_equal(terminal.asked, 1);
	assert_int_equal(ns16550_in(&uart, DATA), 'x');
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
}

static void bytes_come_in_order(void **state)
{
	terminal.input = "abc";
	assert_int_equal(ns16550_in(&uart, DATA), 'a');
	assert_int_equal(ns16550_in(&uart, DATA), 'b');
	assert_int_equal(ns16550_in(&uart, DATA), 'c');
}

static void iir_bits_6_and_7_tell_that_fifos_are_on(void **state)
{
	assert_int_equal(ns16550_in(&uart, IIR), 0x01);
	ns16550_out(&uart, FCR, 0x01);
	assert_int_equal(ns16550_in(&uart, IIR), 0xc1);
	ns16550_out(&uart, FCR, 0x00);
	assert_int_equal(ns16550_in(&uart, IIR), 0x01);
}

static void enabling_etbei_requests_and_reading_iir_clears_the_thre_interrupt(void **state)
{
	ns16550_out(&uart, MCR, OUT2 | RTS);
	assert_false(ns16550_interrupt(&uart));
	ns16550_out(&uart, IER, 0x02);
	assert_true(ns16550_interrupt(&uart));
	assert_int_equal(ns16550_in(&uart, IIR), 0x02);
	assert_false(ns16550_interrupt(&uart));
	assert_int_equal(ns16550_in(&uart, IIR), 0x01);
	ns16550_out(&uart, DATA, 'x');
	assert_true(ns16550_interrupt(&uart));
}

static void received_data_interrupt_lasts_until_rbr_is_read(void **state)
{
	ns16550_out(&uart, MCR, OUT2 | RTS);
	ns16550_out(&uart, IER, 0x01);
	terminal.input = "z";
	assert_int_equal(ns16550_in(&uart, IIR), 0x04);
	assert_int_equal(ns16550_in(&uart, IIR), 0x04);
	assert_true(ns16550_interrupt(&uart));
	ns16550_in(&uart, DATA);
	assert_false(ns16550_interrupt(&uart));
}

static void received_data_comes_before_thre(void **state)
{
	ns16550_out(&uart, IER, 0x03);
	terminal.input = "z";
	assert_int_equal(ns16550_in(&uart, IIR), 0x04);
	ns16550_in(&uart, DATA);
	assert_int_equal(ns16550_in(&uart, IIR), 0x02);
}

static void a_byte_below_the_trigger_level_times_out(void **state)
{
	ns16550_out(&uart, FCR, 0xc1); /* 14 bytes */
	ns16550_out(&uart, IER, 0x01);
	terminal.input = "z";
	assert_int_equal(ns16550_in(&uart, IIR), 0xcc);
	ns16550_in(&uart, DATA);
	assert_int_equal(ns16550_in(&uart, IIR), 0xc1);
}

static void out2_gates_the_interrupt_line(void **state)
{
	ns16550_out(&uart, IER, 0x02);
	assert_false(ns16550_interrupt(&uart));
	ns16550_out(&uart, MCR, OUT2 | RTS);
	assert_true(ns16550_interrupt(&uart));
}

static void loop_returns_what_is_sent_and_cuts_the_line_off(void **state)
{
	terminal.input = "no";
	ns16550_out(&uart, MCR, LOOP);
	ns16550_out(&uart, DATA, 0xae);
	assert_int_equal(ns16550_in(&uart, LSR), 0x61);
	assert_int_equal(ns16550_in(&uart, DATA), 0xae);
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
	assert_int_equal(terminal.output_length, 0);
	assert_int_equal(terminal.asked, 0);
}

static void loop_ties_modem_control_to_modem_status(void **state)
{
	static const struct {
		uint8_t mcr, msr;
	} lines[] = {{0x01, 0x20}, {0x02, 0x10}, {0x04, 0x40}, {0x08, 0x80}};

	for (unsigned i = 0; i < 4; i++) {
		ns16550_out(&uart, MCR, LOOP | lines[i].mcr);
		assert_int_equal(ns16550_in(&uart, MSR) & 0xf0, lines[i].msr);
	}
	ns16550_out(&uart, MCR, 0);
	assert_int_equal(ns16550_in(&uart, MSR) & 0xf0, 0xb0);
}

static void reading_msr_clears_its_deltas(void **state)
{
	ns16550_out(&uart, MCR, LOOP); /* CTS, DSR and DCD fall */
	assert_int_equal(ns16550_in(&uart, MSR), 0x0b);
	assert_int_equal(ns16550_in(&uart, MSR), 0x00);
	ns16550_out(&uart, MCR, LOOP | 0x04);
	assert_int_equal(ns16550_in(&uart, MSR), 0x40); /* RI: only its end counts */
	ns16550_out(&uart, MCR, LOOP);
	assert_int_equal(ns16550_in(&uart, MSR), 0x04);
}

static void fifo_holds_sixteen_bytes_and_the_next_is_an_overrun(void **state)
{
	ns16550_out(&uart, FCR, 0x01);
	ns16550_out(&uart, MCR, LOOP);
	for (unsigned i = 0; i < 17; i++)
		ns16550_out(&uart, DATA, (uint8_t)i);
	assert_int_equal(ns16550_in(&uart, LSR), 0x63);
	assert_int_equal(ns16550_in(&uart, LSR), 0x61); /* reading clears OE */
	for (unsigned i = 0; i < 16; i++)
		assert_int_equal(ns16550_in(&uart, DATA), i);
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
}

static void without_fifo_an_overrun_replaces_the_byte(void **state)
{
	ns16550_out(&uart, MCR, LOOP);
	ns16550_out(&uart, DATA, 1);
	ns16550_out(&uart, DATA, 2);
	ns16550_out(&uart, IER, 0x04);
	assert_int_equal(ns16550_in(&uart, IIR), 0x06);
	assert_int_equal(ns16550_in(&uart, LSR), 0x63);
	assert_int_equal(ns16550_in(&uart, IIR), 0x01);
	assert_int_equal(ns16550_in(&uart, DATA), 2);
}

static void fcr_clears_the_receive_fifo(void **state)
{
	ns16550_out(&uart, FCR, 0x01);
	ns16550_out(&uart, MCR, LOOP);
	ns16550_out(&uart, DATA, 1);
	ns16550_out(&uart, FCR, 0x03);
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
}

static void a_console_without_functions_is_silent(void **state)
{
	struct umbra_console none = {NULL, NULL, NULL};

	ns16550_init(&uart, &none);
	ns16550_out(&uart, DATA, 'x');
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
}

static void waiting_for_an_interrupt_brings_input_without_looking(void **state)
{
	const uint64_t character = 86805, poll = 10000000;

	ns16550_advance(&uart, 0);
	assert_int_equal(ns16550_next_event(&uart), UINT64_MAX);
	ns16550_out(&uart, MCR, OUT2 | RTS);
	ns16550_out(&uart, IER, 0x01);
	ns16550_advance(&uart, 0);
	assert_int_equal(ns16550_next_event(&uart), character);
	ns16550_advance(&uart, character); /* nothing comes */
	assert_int_equal(ns16550_next_event(&uart), character + poll);
	terminal.input = "ab";
	ns16550_advance(&uart, character + poll);
	assert_true(ns16550_interrupt(&uart));
	ns16550_advance(&uart, 2 * poll);
	assert_int_equal(ns16550_next_event(&uart), UINT64_MAX); /* one at a time */
	assert_int_equal(ns16550_in(&uart, DATA), 'a');
	ns16550_advance(&uart, 3 * poll);
	assert_int_equal(ns16550_next_event(&uart), 3 * poll + character);
	ns16550_out(&uart, IER, 0x00);
	ns16550_advance(&uart, 3 * poll);
	assert_int_equal(ns16550_next_event(&uart), UINT64_MAX);
	assert_int_equal(terminal.asked, 2);
}

static void the_terminal_heeds_rts(void **state)
{
	terminal.input = "ab";
	ns16550_out(&uart, MCR, 0x01);
	assert_int_equal(ns16550_in(&uart, LSR), 0x60);
	ns16550_in(&uart, DATA);
	ns16550_out(&uart, MCR, 0x01 | RTS);
	assert_int_equal(ns16550_in(&uart, LSR), 0x61);
	assert_int_equal(ns16550_in(&uart, DATA), 'a');
}

static void what_a_cleared_fifo_held_comes_again(void **state)
{
	terminal.input = "ab";
	assert_int_equal(ns16550_in(&uart, LSR), 0x61);
	ns16550_out(&uart, FCR, 0x07);
	assert_int_equal(ns16550_in(&uart, DATA), 'a');
	assert_int_equal(ns16550_in(&uart, DATA), 'b');
}

#define RULE(name) cmocka_unit_test_setup(name, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		RULE(what_is_written_to_thr_leaves_and_thr_is_empty_again),
		RULE(dlab_selects_the_divisor_latch),
		RULE(scratch_register_keeps_its_value),
		RULE(upper_half_of_ier_reads_zero),
		RULE(input_is_asked_for_only_when_the_guest_looks),
		RULE(bytes_come_in_order),
		RULE(iir_bits_6_and_7_tell_that_fifos_are_on),
		RULE(enabling_etbei_requests_and_reading_iir_clears_the_thre_interrupt),
		RULE(received_data_interrupt_lasts_until_rbr_is_read),
		RULE(received_data_comes_before_thre),
		RULE(a_byte_below_the_trigger_level_times_out),
		RULE(out2_gates_the_interrupt_line),
		RULE(loop_returns_what_is_sent_and_cuts_the_line_off),
		RULE(loop_ties_modem_control_to_modem_status),
		RULE(reading_msr_clears_its_deltas),
		RULE(fifo_holds_sixteen_bytes_and_the_next_is_an_overrun),
		RULE(without_fifo_an_overrun_replaces_the_byte),
		RULE(fcr_clears_the_receive_fifo),
		RULE(a_console_without_functions_is_silent),
		RULE(the_terminal_heeds_rts),
		RULE(what_a_cleared_fifo_held_comes_again),
		RULE(waiting_for_an_interrupt_brings_input_without_looking),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
