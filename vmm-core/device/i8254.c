/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/i8254.h"
#include "device/machine.h"

/* Control word */
#define CONTROL_BCD          (1u << 0)
#define CONTROL_MODE(v)      (((v) >> 1) & 7)
#define CONTROL_ACCESS(v)    (((v) >> 4) & 3)
#define CONTROL_COUNTER(v)   ((v) >> 6)
#define CONTROL_READ_BACK    3
#define READ_BACK_NO_STATUS  (1u << 4)
#define READ_BACK_NO_COUNT   (1u << 5)
#define READ_BACK_COUNTER(i) (2u << (i))

#define STATUS_NULL_COUNT    (1u << 6)
#define STATUS_OUT           (1u << 7)

enum { ACCESS_LATCH, ACCESS_LSB, ACCESS_MSB, ACCESS_BOTH };

enum {
	MODE_TERMINAL_COUNT,
	MODE_ONE_SHOT,
	MODE_RATE,
	MODE_SQUARE,
	MODE_STROBE,
	MODE_HARDWARE_STROBE,
};

#define NEVER INT64_MAX

/* I8254_HZ / MACHINE_TIME_HZ in lowest terms. */
#define TICKS_PER 596591ULL
#define TIME_PER  500000000ULL
_Static_assert(TICKS_PER *MACHINE_TIME_HZ == TIME_PER * I8254_HZ, "the ratio of the clocks");

uint64_t i8254_ticks(uint64_t now)
{
	return now / TIME_PER * TICKS_PER + now % TIME_PER * TICKS_PER / TIME_PER;
}

/* The first guest time that belongs to @tick. */
static uint64_t time_of(uint64_t tick)
{
	return tick / TICKS_PER * TIME_PER +
	       (tick % TICKS_PER * TIME_PER + TICKS_PER - 1) / TICKS_PER;
}

static bool periodic(const struct i8254_counter *c)
{
	return c->mode == MODE_RATE || c->mode == MODE_SQUARE;
}

static bool gate_triggers(const struct i8254_counter *c)
{
	return c->mode == MODE_ONE_SHOT || c->mode == MODE_HARDWARE_STROBE;
}

/* Ticks that OUT is high in a period of mode 3. */
static int64_t high_half(uint32_t count)
{
	return (count + 1) / 2;
}

/* Is the counter counting, or has it counted, since the count was loaded? */
static bool running(const struct i8254_counter *c)
{
	return c->loaded && !c->stopped && (!gate_triggers(c) || c->triggered);
}

/* Ticks counted at @tick; negative before the load. */
static int64_t elapsed(const struct i8254_counter *c, int64_t tick)
{
	return c->gate || gate_triggers(c) ? tick - c->start : c->held;
}

/* The tick at which a pending count takes over: the end of the period, in mode 3 of its half. */
static int64_t takeover(const struct i8254_counter *c, int64_t tick)
{
	int64_t e = elapsed(c, tick), position;

	if (e < 0)
		return c->start;
	position = e % c->count;
	if (c->mode == MODE_SQUARE && position < high_half(c->count))
		return tick - position + high_half(c->count);
	return tick - position + c->count;
}

/* Brings a pending count in when its time has come by @tick. @since: when the counter was synced.
 */
static void settle(struct i8254_counter *c, int64_t since, int64_t tick)
{
	int64_t at;
	bool falls;

	if (!c->pending || !c->gate)
		return;
	at = takeover(c, since);
	if (at > tick)
		return;
	falls = c->mode == MODE_SQUARE && at > c->start &&
		(at - c->start) % c->count == high_half(c->count);
	c->count = c->pending_count;
	c->start = falls ? at - high_half(c->count) : at;
	c->pending = false;
}

static bool out_level(const struct i8254_counter *c, int64_t tick)
{
	int64_t e = elapsed(c, tick);

	if (!running(c) || e < 0)
		return c->mode != MODE_TERMINAL_COUNT;
	switch (c->mode) {
	case MODE_TERMINAL_COUNT:
	case MODE_ONE_SHOT: return e >= c->count;
	case MODE_RATE: return !c->gate || e % c->count != c->count - 1;
	case MODE_SQUARE: return !c->gate || e % c->count < high_half(c->count);
	default: return e != c->count;
	}
}

/* The tick after @tick at which OUT rises by counting, or NEVER. */
static int64_t next_rise(const struct i8254_counter *c, int64_t tick)
{
	int64_t e = elapsed(c, tick), at;

	if (!running(c) || (!c->gate && !gate_triggers(c)))
		return NEVER;
	if (periodic(c)) {
		if (c->pending) {
			at = takeover(c, tick);
			if (c->mode == MODE_SQUARE && e >= 0 && e % c->count < high_half(c->count))
				return at + c->pending_count - high_half(c->pending_count);
			return e < 0 ? at + c->pending_count : at;
		}
		return c->start + (e < 0 ? 1 : e / c->count + 1) * (int64_t)c->count;
	}
	at = c->start + c->count + (c->mode >= MODE_STROBE);
	return at > tick ? at : NEVER;
}

/* The counting element as it is read. */
static uint16_t counting_element(const struct i8254_counter *c, int64_t tick)
{
	int64_t e = elapsed(c, tick), modulus = c->bcd ? 10000 : 65536, value, position;

	if (!running(c) || e < 0)
		e = 0;
	if (c->mode == MODE_RATE) {
		value = c->count - e % c->count;
	} else if (c->mode == MODE_SQUARE) {
		position = e % c->count;
		if (position >= high_half(c->count))
			position -= high_half(c->count);
		value = (c->count & ~1u) - 2 * position;
	} else {
		value = c->count - e % modulus + modulus;
	}
	value %= modulus;
	if (c->bcd)
		value = value / 1000 << 12 | value / 100 % 10 << 8 | value / 10 % 10 << 4 |
			value % 10;
	return (uint16_t)value;
}

static uint32_t count_of(const struct i8254_counter *c, uint16_t value)
{
	uint32_t count = value;

	if (c->bcd)
		count = (value >> 12) * 1000 + (value >> 8 & 15) * 100 + (value >> 4 & 15) * 10 +
			(value & 15);
	if (count == 0)
		return c->bcd ? 10000 : 65536;
	if (count == 1 && periodic(c)) /* illegal there; the shortest period that exists */
		return 2;
	return count;
}

static void load(struct i8254_counter *c, uint16_t value, int64_t tick)
{
	uint32_t count = count_of(c, value);

	if (c->loaded && periodic(c)) {
		c->pending_count = count;
		c->pending = true;
		return;
	}
	c->stopped = false;
	if (gate_triggers(c) && c->triggered) {
		c->pending_count = count; /* waits for the next trigger */
		c->pending = true;
		return;
	}
	c->count = count;
	c->loaded = true;
	/* The next clock pulse moves it into the counting element. */
	c->start = tick + 1;
	c->held = 0;
}

static void write_count(struct i8254_counter *c, uint8_t value, int64_t tick)
{
	switch (c->access) {
	case ACCESS_LSB: load(c, value, tick); break;
	case ACCESS_MSB: load(c, (uint16_t)(value << 8), tick); break;
	case ACCESS_BOTH:
		if (!c->write_high_next) {
			c->write_low = value;
			if (c->mode == MODE_TERMINAL_COUNT)
				c->stopped = true;
		} else {
			load(c, (uint16_t)(value << 8 | c->write_low), tick);
		}
		c->write_high_next = !c->write_high_next;
		break;
	}
}

static void latch_count(struct i8254_counter *c, int64_t tick)
{
	if (c->count_latched)
		return;
	c->latch = counting_element(c, tick);
	c->count_latched = true;
}

static void latch_status(struct i8254_counter *c, int64_t tick)
{
	if (c->status_latched)
		return;
	c->status = (uint8_t)(c->mode << 1 | c->access << 4 | c->bcd);
	if (!c->loaded || c->pending || c->stopped || (running(c) && elapsed(c, tick) < 0))
		c->status |= STATUS_NULL_COUNT;
	if (out_level(c, tick))
		c->status |= STATUS_OUT;
	c->status_latched = true;
}

static void write_control(struct i8254 *pit, uint8_t value, int64_t tick)
{
	struct i8254_counter *c;
	bool gate;

	if (CONTROL_COUNTER(value) == CONTROL_READ_BACK) {
		for (unsigned i = 0; i < 3; i++) {
			if (!(value & READ_BACK_COUNTER(i)))
				continue;
			if (!(value & READ_BACK_NO_COUNT))
				latch_count(&pit->counter[i], tick);
			if (!(value & READ_BACK_NO_STATUS))
				latch_status(&pit->counter[i], tick);
		}
		return;
	}
	c = &pit->counter[CONTROL_COUNTER(value)];
	if (CONTROL_ACCESS(value) == ACCESS_LATCH) {
		latch_count(c, tick);
		return;
	}
	gate = c->gate;
	memset(c, 0, sizeof(*c));
	c->gate = gate;
	c->count = 65536; /* what a read finds before a count is written */
	c->access = CONTROL_ACCESS(value);
	c->mode = CONTROL_MODE(value);
	if (c->mode > MODE_HARDWARE_STROBE) /* 6 and 7 are other spellings of 2 and 3 */
		c->mode -= 4;
	c->bcd = value & CONTROL_BCD;
}

static int64_t sync_counters(struct i8254 *pit, uint64_t now)
{
	int64_t tick = (int64_t)i8254_ticks(now);

	for (unsigned i = 0; i < 3; i++)
		if (periodic(&pit->counter[i]))
			settle(&pit->counter[i], pit->synced, tick);
	if (tick > pit->synced)
		pit->synced = tick;
	return tick;
}

bool i8254_advance(struct i8254 *pit, uint64_t now)
{
	bool rose = pit->out0_rose ||
		    next_rise(&pit->counter[0], pit->synced) <= (int64_t)i8254_ticks(now);

	pit->out0_rose = false;
	sync_counters(pit, now);
	return rose;
}

void i8254_out(struct i8254 *pit, unsigned port, uint8_t value, uint64_t now)
{
	int64_t tick = sync_counters(pit, now);
	bool before = out_level(&pit->counter[0], tick);

	if (port == 3)
		write_control(pit, value, tick);
	else
		write_count(&pit->counter[port], value, tick);
	if (!before && out_level(&pit->counter[0], tick))
		pit->out0_rose = true;
}

uint8_t i8254_in(struct i8254 *pit, unsigned port, uint64_t now)
{
	int64_t tick = sync_counters(pit, now);
	struct i8254_counter *c;
	uint16_t value;
	bool high;

	if (port == 3) /* the control word cannot be read */
		return 0xff;
	c = &pit->counter[port];
	if (c->status_latched) {
		c->status_latched = false;
		return c->status;
	}
	value = c->count_latched ? c->latch : counting_element(c, tick);
	high = c->access == ACCESS_MSB || (c->access == ACCESS_BOTH && c->read_high_next);
	if (c->access == ACCESS_BOTH)
		c->read_high_next = !c->read_high_next;
	if (c->access != ACCESS_BOTH || high)
		c->count_latched = false;
	return (uint8_t)(high ? value >> 8 : value);
}

void i8254_set_gate(struct i8254 *pit, unsigned counter, bool gate, uint64_t now)
{
	struct i8254_counter *c = &pit->counter[counter];
	int64_t tick = sync_counters(pit, now);

	if (gate == c->gate)
		return;
	if (!gate) {
		c->held = elapsed(c, tick) < 0 ? 0 : elapsed(c, tick);
		c->gate = false;
		return;
	}
	c->gate = true;
	if (c->pending && (gate_triggers(c) || periodic(c))) {
		c->count = c->pending_count;
		c->pending = false;
	}
	if (gate_triggers(c)) {
		c->triggered = c->loaded;
		c->start = tick + 1;
	} else if (periodic(c)) {
		c->start = tick + 1; /* a rising gate starts the period anew */
	} else {
		c->start = tick - c->held;
	}
}

bool i8254_out_level(struct i8254 *pit, unsigned counter, uint64_t now)
{
	return out_level(&pit->counter[counter], sync_counters(pit, now));
}

uint64_t i8254_next_edge(struct i8254 *pit)
{
	int64_t tick;

	if (pit->out0_rose)
		return time_of((uint64_t)pit->synced);
	tick = next_rise(&pit->counter[0], pit->synced);
	return tick == NEVER ? UINT64_MAX : time_of((uint64_t)tick);
}

void i8254_init(struct i8254 *pit)
{
	static const struct {
		uint8_t control;
		uint16_t count;
	} firmware[3] = {
		{ACCESS_BOTH << 4 | MODE_SQUARE << 1, 0},
		{1 << 6 | ACCESS_BOTH << 4 | MODE_RATE << 1, 18},
		{2 << 6 | ACCESS_BOTH << 4 | MODE_SQUARE << 1, 0},
	};

	memset(pit, 0, sizeof(*pit));
	pit->counter[0].gate = pit->counter[1].gate = true;
	for (unsigned i = 0; i < 3; i++) {
		i8254_out(pit, 3, firmware[i].control, 0);
		i8254_out(pit, i, firmware[i].count & 0xff, 0);
		i8254_out(pit, i, firmware[i].count >> 8, 0);
	}
	pit->out0_rose = false;
}
