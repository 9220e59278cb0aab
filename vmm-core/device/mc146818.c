/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/machine.h"
#include "device/mc146818.h"

enum {
	REG_SECONDS = 0x00,
	REG_SECONDS_ALARM = 0x01,
	REG_MINUTES = 0x02,
	REG_MINUTES_ALARM = 0x03,
	REG_HOURS = 0x04,
	REG_HOURS_ALARM = 0x05,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_C = 0x0c,
	REG_D = 0x0d,
	CMOS_CHECKED_FIRST = 0x10,
	CMOS_BASE_MEMORY = 0x15,     /* KiB below 1 MiB */
	CMOS_EXTENDED_MEMORY = 0x17, /* KiB from 1 MiB on, as the set-up program found them */
	CMOS_CHECKED_LAST = 0x2d,
	CMOS_CHECKSUM_HIGH = 0x2e,
	CMOS_CHECKSUM_LOW = 0x2f,
	CMOS_EXTENDED_FOUND = 0x30, /* the same, as the self-test found them */
	CMOS_CENTURY = 0x32,
	CMOS_MEMORY_ABOVE_16M = 0x34, /* units of 64 KiB */
};

#define INDEX_MASK     0x7fu /* bit 7 is the NMI mask of the board */

#define A_UIP          (1u << 7)
#define A_DIVIDER      0x70u
#define A_DIVIDER_32K  0x20u
#define A_RATE         0x0fu
#define A_RATE_1024_HZ 0x06u
#define B_24H          (1u << 1)
#define B_BINARY       (1u << 2)
#define INTERRUPTS     0x70u /* PIE, AIE, UIE in register B; PF, AF, UF in register C */
#define PERIODIC       (1u << 6)
#define ALARM          (1u << 5)
#define UPDATE_ENDED   (1u << 4)
#define C_IRQF         (1u << 7)
#define B_SET          (1u << 7)
#define D_VRT          (1u << 7)
#define HOURS_PM       (1u << 7)
#define ALARM_ANY      0xc0u /* alarm registers from here on match everything */

/* With a 32 KiHz crystal: UIP rises that long before the new time is there (244 us + 1984 us). */
#define UIP_TIME        (2228 * (MACHINE_TIME_HZ / 1000000))

#define SECONDS_A_DAY   86400u
#define BASE_MEMORY_KIB 639
#define FIRST_YEAR      1900
#define LAST_YEAR       9999

struct date {
	unsigned second, minute, hour, weekday, day, month, year;
};

static bool leap(unsigned year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of_month(unsigned month, unsigned year)
{
	static const uint8_t days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	return days[month - 1] + (month == 2 && leap(year));
}

/* Days from 0001-01-01 to the first of January of @year. */
static uint64_t days_before_year(unsigned year)
{
	uint64_t y = year - 1;

	return y * 365 + y / 4 - y / 100 + y / 400;
}

static uint64_t seconds_of(const struct date *date)
{
	uint64_t days = days_before_year(date->year) + date->day - 1;

	for (unsigned month = 1; month < date->month; month++)
		days += days_of_month(month, date->year);
	return days * SECONDS_A_DAY + date->hour * 3600 + date->minute * 60 + date->second;
}

/* @seconds since 0001-01-01; the calendar starts over after LAST_YEAR. */
static void date_of(uint64_t seconds, struct date *date)
{
	uint64_t days = seconds / SECONDS_A_DAY % days_before_year(LAST_YEAR + 1);
	unsigned rest = (unsigned)(seconds % SECONDS_A_DAY);

	date->hour = rest / 3600;
	date->minute = rest / 60 % 60;
	date->second = rest % 60;
	date->weekday = (unsigned)((days + 1) % 7); /* 0001-01-01 was a Monday; 0: Sunday */
	date->year = (unsigned)(days / 366) + 1;    /* at most a few years too early */
	while (days >= days_before_year(date->year + 1))
		date->year++;
	days -= days_before_year(date->year);
	date->month = 1;
	while (days >= days_of_month(date->month, date->year)) {
		days -= days_of_month(date->month, date->year);
		date->month++;
	}
	date->day = (unsigned)days + 1;
}

static uint8_t encode(const struct mc146818 *rtc, unsigned value)
{
	if (rtc->cmos[REG_B] & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

/* A register's value forced into @low ... @high: the guest may have written anything. */
static unsigned decode(const struct mc146818 *rtc, uint8_t raw, unsigned low, unsigned high)
{
	unsigned value = raw;

	if (!(rtc->cmos[REG_B] & B_BINARY))
		value = (raw >> 4) * 10 + (raw & 15);
	return value < low ? low : value > high ? high : value;
}

static uint8_t encode_century(unsigned year)
{
	return (uint8_t)(year / 1000 << 4 | year / 100 % 10); /* always BCD: it is firmware's */
}

static bool stands(const struct mc146818 *rtc)
{
	return (rtc->cmos[REG_B] & B_SET) || (rtc->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_32K;
}

static uint8_t encode_hour(const struct mc146818 *rtc, unsigned hour)
{
	uint8_t encoded;

	if (rtc->cmos[REG_B] & B_24H)
		return encode(rtc, hour);
	encoded = encode(rtc, (hour + 11) % 12 + 1);
	return hour >= 12 ? encoded | HOURS_PM : encoded;
}

/* Whole seconds since the base. */
static uint64_t seconds_passed(const struct mc146818 *rtc, uint64_t now)
{
	return now > rtc->base_time ? (now - rtc->base_time) / MACHINE_TIME_HZ : 0;
}

/* Puts the time of @now into the registers. */
static void clock_to_registers(struct mc146818 *rtc, uint64_t now)
{
	struct date date;

	date_of(rtc->base_seconds + seconds_passed(rtc, now), &date);
	rtc->cmos[REG_SECONDS] = encode(rtc, date.second);
	rtc->cmos[REG_MINUTES] = encode(rtc, date.minute);
	rtc->cmos[REG_HOURS] = encode_hour(rtc, date.hour);
	rtc->cmos[REG_WEEKDAY] = encode(rtc, (date.weekday + rtc->weekday_shift) % 7 + 1);
	rtc->cmos[REG_DAY] = encode(rtc, date.day);
	rtc->cmos[REG_MONTH] = encode(rtc, date.month);
	rtc->cmos[REG_YEAR] = encode(rtc, date.year % 100);
	rtc->cmos[CMOS_CENTURY] = encode_century(date.year);
}

/* Takes the time from the registers: it is that at @now. */
static void registers_to_clock(struct mc146818 *rtc, uint64_t now)
{
	uint8_t hours = rtc->cmos[REG_HOURS], century = rtc->cmos[CMOS_CENTURY];
	struct date date, calendar;

	date.second = decode(rtc, rtc->cmos[REG_SECONDS], 0, 59);
	date.minute = decode(rtc, rtc->cmos[REG_MINUTES], 0, 59);
	if (rtc->cmos[REG_B] & B_24H)
		date.hour = decode(rtc, hours, 0, 23);
	else
		date.hour =
			decode(rtc, hours & ~HOURS_PM, 1, 12) % 12 + (hours & HOURS_PM ? 12 : 0);
	date.weekday = decode(rtc, rtc->cmos[REG_WEEKDAY], 1, 7) - 1;
	date.month = decode(rtc, rtc->cmos[REG_MONTH], 1, 12);
	date.year = ((century >> 4) * 10 + (century & 15)) * 100 +
		    decode(rtc, rtc->cmos[REG_YEAR], 0, 99);
	if (date.year < FIRST_YEAR)
		date.year = FIRST_YEAR;
	if (date.year > LAST_YEAR)
		date.year = LAST_YEAR;
	date.day = decode(rtc, rtc->cmos[REG_DAY], 1, days_of_month(date.month, date.year));
	rtc->base_seconds = seconds_of(&date);
	rtc->base_time = now;
	date_of(rtc->base_seconds, &calendar);
	rtc->weekday_shift = (uint8_t)((date.weekday + 7 - calendar.weekday) % 7);
}

static bool is_time(unsigned index)
{
	switch (index) {
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case CMOS_CENTURY: return true;
	default: return false;
	}
}

static bool update_in_progress(const struct mc146818 *rtc, uint64_t now)
{
	if (stands(rtc) || now < rtc->base_time)
		return false;
	return (now - rtc->base_time) % MACHINE_TIME_HZ >= MACHINE_TIME_HZ - UIP_TIME;
}

/* The rate that register A selects, in Hz; 0: none. */
static unsigned periodic_rate(const struct mc146818 *rtc)
{
	unsigned rate = rtc->cmos[REG_A] & A_RATE;

	if (!rate || (rtc->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_32K)
		return 0;
	return rate <= 2 ? 512u >> rate : 65536u >> rate;
}

/* Periods of 1 / @rate s since the base, and when the @n-th one ends. */
static uint64_t periods(const struct mc146818 *rtc, unsigned rate, uint64_t now)
{
	uint64_t part = now > rtc->base_time ? (now - rtc->base_time) % MACHINE_TIME_HZ : 0;

	return seconds_passed(rtc, now) * rate + part * rate / MACHINE_TIME_HZ;
}

static uint64_t end_of_period(const struct mc146818 *rtc, unsigned rate, uint64_t n)
{
	return rtc->base_time + n / rate * MACHINE_TIME_HZ +
	       (n % rate * MACHINE_TIME_HZ + rate - 1) / rate;
}

static bool alarm_matches(const struct mc146818 *rtc, unsigned index, uint8_t value)
{
	return rtc->cmos[index] >= ALARM_ANY || rtc->cmos[index] == value;
}

/* Whether any value that the register of a time takes, of @nr, is that of its alarm. */
static bool alarm_can_match(const struct mc146818 *rtc, unsigned index, unsigned nr,
			    uint8_t (*encoded)(const struct mc146818 *rtc, unsigned value))
{
	unsigned value = 0;

	while (value < nr && !alarm_matches(rtc, index, encoded(rtc, value)))
		value++;
	return value < nr;
}

/* Seconds from the base to the first alarm after second @passed; UINT64_MAX: it cannot happen. */
static uint64_t next_alarm(const struct mc146818 *rtc, uint64_t passed)
{
	uint64_t second = passed + 1, last = passed + SECONDS_A_DAY;

	/* A second that never comes is not looked for all day: a guest may set one, and ask. */
	if (!alarm_can_match(rtc, REG_HOURS_ALARM, 24, encode_hour) ||
	    !alarm_can_match(rtc, REG_MINUTES_ALARM, 60, encode) ||
	    !alarm_can_match(rtc, REG_SECONDS_ALARM, 60, encode))
		return UINT64_MAX;
	while (second <= last) {
		unsigned of_day = (unsigned)((rtc->base_seconds + second) % SECONDS_A_DAY);

		if (!alarm_matches(rtc, REG_HOURS_ALARM, encode_hour(rtc, of_day / 3600)))
			second += 3600 - of_day % 3600;
		else if (!alarm_matches(rtc, REG_MINUTES_ALARM, encode(rtc, of_day / 60 % 60)))
			second += 60 - of_day % 60;
		else if (!alarm_matches(rtc, REG_SECONDS_ALARM, encode(rtc, of_day % 60)))
			second++;
		else
			return second;
	}
	return UINT64_MAX;
}

void mc146818_advance(struct mc146818 *rtc, uint64_t now)
{
	unsigned rate = periodic_rate(rtc);
	uint64_t before, passed = seconds_passed(rtc, now);

	if (now <= rtc->looked)
		return;
	if (rate && periods(rtc, rate, now) != periods(rtc, rate, rtc->looked))
		rtc->cmos[REG_C] |= PERIODIC;
	before = seconds_passed(rtc, rtc->looked);
	rtc->looked = now;
	if (stands(rtc) || passed == before)
		return;
	rtc->cmos[REG_C] |= UPDATE_ENDED;
	if (next_alarm(rtc, before) <= passed)
		rtc->cmos[REG_C] |= ALARM;
}

bool mc146818_interrupt(const struct mc146818 *rtc)
{
	return rtc->cmos[REG_B] & rtc->cmos[REG_C] & INTERRUPTS;
}

uint64_t mc146818_next_event(const struct mc146818 *rtc)
{
	uint8_t enabled = rtc->cmos[REG_B] & INTERRUPTS;
	uint64_t next = UINT64_MAX, at = UINT64_MAX, passed;
	unsigned rate = periodic_rate(rtc);

	if (!enabled || mc146818_interrupt(rtc))
		return UINT64_MAX;
	if ((enabled & PERIODIC) && rate)
		next = end_of_period(rtc, rate, periods(rtc, rate, rtc->looked) + 1);
	if (stands(rtc))
		return next;
	passed = seconds_passed(rtc, rtc->looked);
	if (enabled & UPDATE_ENDED)
		at = passed + 1;
	else if (enabled & ALARM)
		at = next_alarm(rtc, passed);
	if (at != UINT64_MAX && rtc->base_time + at * MACHINE_TIME_HZ < next)
		next = rtc->base_time + at * MACHINE_TIME_HZ;
	return next;
}

/* Reading register C clears it. */
static uint8_t read_flags(struct mc146818 *rtc)
{
	uint8_t flags = rtc->cmos[REG_C];

	if (mc146818_interrupt(rtc))
		flags |= C_IRQF;
	rtc->cmos[REG_C] = 0;
	return flags;
}

uint8_t mc146818_in(struct mc146818 *rtc, bool data, uint64_t now)
{
	if (!data)
		return 0xff; /* the index is write-only */
	mc146818_advance(rtc, now);
	if (rtc->index == REG_C)
		return read_flags(rtc);
	if (is_time(rtc->index) && !stands(rtc))
		clock_to_registers(rtc, now);
	if (rtc->index == REG_A && update_in_progress(rtc, now))
		return rtc->cmos[REG_A] | A_UIP;
	return rtc->cmos[rtc->index];
}

/* A write that may stop, start or set the clock. */
static void write_clock(struct mc146818 *rtc, uint8_t value, uint64_t now)
{
	bool stood = stands(rtc), divider_stood = false;

	if (!stood)
		clock_to_registers(rtc, now);
	if (rtc->index == REG_A) {
		divider_stood = (rtc->cmos[REG_A] & A_DIVIDER) != A_DIVIDER_32K;
		value &= ~A_UIP;
	} else if (rtc->index == REG_B && (value & B_SET)) {
		value &= ~UPDATE_ENDED;
	}
	rtc->cmos[rtc->index] = value;
	if (stands(rtc))
		return;
	if (stood || is_time(rtc->index))
		registers_to_clock(rtc, now);
	else
		clock_to_registers(rtc, now); /* perhaps in another format */
	/* The first update comes half a second after the divider chain was released. */
	if (divider_stood && rtc->base_time >= MACHINE_TIME_HZ / 2)
		rtc->base_time -= MACHINE_TIME_HZ / 2;
}

void mc146818_out(struct mc146818 *rtc, bool data, uint8_t value, uint64_t now)
{
	mc146818_advance(rtc, now);
	if (!data)
		rtc->index = value & INDEX_MASK;
	else if (is_time(rtc->index) || rtc->index == REG_A || rtc->index == REG_B)
		write_clock(rtc, value, now);
	else if (rtc->index != REG_C && rtc->index != REG_D)
		rtc->cmos[rtc->index] = value;
}

static void put16(struct mc146818 *rtc, unsigned index, uint64_t value)
{
	if (value > UINT16_MAX)
		value = UINT16_MAX;
	rtc->cmos[index] = (uint8_t)value;
	rtc->cmos[index + 1] = (uint8_t)(value >> 8);
}

void mc146818_init(struct mc146818 *rtc, uint64_t memory_size)
{
	static const struct date start = {.day = 1, .month = 1, .year = 2000};
	const uint64_t mib = 1ULL << 20;
	unsigned sum = 0;

	memset(rtc, 0, sizeof(*rtc));
	rtc->cmos[REG_A] = A_DIVIDER_32K | A_RATE_1024_HZ;
	rtc->cmos[REG_B] = B_24H;
	rtc->cmos[REG_D] = D_VRT;
	rtc->base_seconds = seconds_of(&start);
	put16(rtc, CMOS_BASE_MEMORY, BASE_MEMORY_KIB);
	put16(rtc, CMOS_EXTENDED_MEMORY, memory_size > mib ? (memory_size - mib) / 1024 : 0);
	put16(rtc, CMOS_EXTENDED_FOUND, memory_size > mib ? (memory_size - mib) / 1024 : 0);
	put16(rtc, CMOS_MEMORY_ABOVE_16M,
	      memory_size > 16 * mib ? (memory_size - 16 * mib) / 65536 : 0);
	for (unsigned i = CMOS_CHECKED_FIRST; i <= CMOS_CHECKED_LAST; i++)
		sum += rtc->cmos[i];
	rtc->cmos[CMOS_CHECKSUM_HIGH] = (uint8_t)(sum >> 8);
	rtc->cmos[CMOS_CHECKSUM_LOW] = (uint8_t)sum;
	clock_to_registers(rtc, 0);
}
