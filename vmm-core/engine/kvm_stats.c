/* SPDX-License-Identifier: GPL-2.0-or-later */
#define _GNU_SOURCE
#include <ctype.h>
#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "umbra/kvm_stats.h"

/* Far beyond what any kernel has: Linux 6.18 has 45 statistics of a vCPU. */
#define MAX_STATS     512u
#define MAX_NAME_SIZE 256u
#define MAX_BUCKETS   512u
#define MAX_VALUES    4096u
#define MAX_OFFSET    (1u << 20)

/* Of which a row of kvm.def is, by its unit's name. */
enum row_unit { ROW_one, ROW_instructions, ROW_pages, ROW_entries, ROW_nanoseconds };

/* KVM's name of each number of struct umbra_kvm_counters. */
struct row {
	const char *name, *value; /* "pages", "4k": "pages_4k"; value NULL: the name alone */
	enum row_unit unit;
	uint16_t index;
};

#define PREFIX_LENGTH (sizeof("kvm_") - 1)

#define ROW(counter, unit, element, value)                                                         \
	{&#counter[PREFIX_LENGTH], value, ROW_##unit,                                              \
	 UMBRA_INDEX(struct umbra_kvm_counters, counter, element)},
#define ROWS_NONE(counter, unit) ROW(counter, unit, 0, NULL)
#define ROWS_PAGE_SIZE(counter, unit)                                                              \
	ROW(counter, unit, UMBRA_PAGE_4k, "4k")                                                    \
	ROW(counter, unit, UMBRA_PAGE_2m, "2m")                                                    \
	ROW(counter, unit, UMBRA_PAGE_1g, "1g")

static const struct row rows[] = {
#define UMBRA_COUNTER(name, unit, kind, dimension, exposed, help) ROWS_##dimension(name, unit)
#include "umbra/kvm.def"
};

_Static_assert(sizeof(rows) / sizeof(rows[0]) ==
		       sizeof(struct umbra_kvm_counters) / sizeof(uint64_t),
	       "a row for each number");

struct umbra_kvm_stats {
	int fd;
	char id[UMBRA_KVM_STAT_ID_MAX];
	size_t nr;
	struct umbra_kvm_stat *stat;
	uint32_t *first;   /* of each statistic: the index of its first value */
	uint64_t *value;   /* as last read */
	uint64_t *reading; /* as many: what a read goes into */
	size_t nr_values;
	off_t data_offset;
};

static const char *const unit_names[UMBRA_KVM_STAT_UNIT_COUNT] = {
	[UMBRA_KVM_STAT_NONE] = "none",       [UMBRA_KVM_STAT_BYTES] = "bytes",
	[UMBRA_KVM_STAT_SECONDS] = "seconds", [UMBRA_KVM_STAT_CYCLES] = "cycles",
	[UMBRA_KVM_STAT_BOOLEAN] = "boolean",
};

static const char *const type_names[UMBRA_KVM_STAT_TYPE_COUNT] = {
	[UMBRA_KVM_STAT_CUMULATIVE] = "cumulative",
	[UMBRA_KVM_STAT_INSTANT] = "instant",
	[UMBRA_KVM_STAT_PEAK] = "peak",
	[UMBRA_KVM_STAT_LINEAR] = "linear_histogram",
	[UMBRA_KVM_STAT_LOG] = "log_histogram",
};

const char *umbra_kvm_stat_unit_name(enum umbra_kvm_stat_unit unit)
{
	return unit_names[unit];
}

const char *umbra_kvm_stat_type_name(enum umbra_kvm_stat_type type)
{
	return type_names[type];
}

/* --- what the descriptor says of itself ------------------------------------------------------- */

/* All of it, or a negative errno; -ENODATA: the file ends before. */
static int read_all(int fd, void *to, size_t len, off_t offset)
{
	uint8_t *bytes = to;

	while (len) {
		ssize_t n = pread(fd, bytes, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		bytes += n;
		len -= n;
		offset += n;
	}
	return 0;
}

/* Names go into messages, JSON and metrics: nothing but plain characters. */
static bool is_name(const char *name)
{
	if (!isalpha((unsigned char)*name))
		return false;
	while (isalnum((unsigned char)*name) || *name == '_')
		name++;
	return !*name;
}

/* The unit in which the row counts is one that this statistic can be converted to. */
static bool unit_fits(enum row_unit row, enum umbra_kvm_stat_unit unit)
{
	if (row == ROW_nanoseconds)
		return unit == UMBRA_KVM_STAT_SECONDS;
	return unit == UMBRA_KVM_STAT_NONE || unit == UMBRA_KVM_STAT_BOOLEAN;
}

static bool has_name(const struct row *row, const char *name)
{
	size_t length = strlen(row->name);

	if (!row->value)
		return !strcmp(row->name, name);
	return !strncmp(row->name, name, length) && name[length] == '_' &&
	       !strcmp(row->value, name + length + 1);
}

static const struct row *find_row(const char *name)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (has_name(&rows[i], name))
			return &rows[i];
	}
	return NULL;
}

uint16_t umbra_kvm_stat_row(const char *name)
{
	const struct row *row = find_row(name);

	return row ? row->index : UMBRA_KVM_STAT_NO_ROW;
}

static uint16_t row_of(const struct umbra_kvm_stat *stat)
{
	const struct row *row = find_row(stat->name);

	return row && stat->nr_values == 1 && unit_fits(row->unit, stat->unit)
		       ? row->index
		       : UMBRA_KVM_STAT_NO_ROW;
}

static const char *check_header(const struct kvm_stats_header *header)
{
	if (!header->num_desc || header->num_desc > MAX_STATS)
		return "its number of statistics";
	if (!header->name_size || header->name_size > MAX_NAME_SIZE)
		return "its size of names";
	if (header->id_offset > MAX_OFFSET || header->desc_offset > MAX_OFFSET ||
	    header->data_offset > MAX_OFFSET)
		return "one of its offsets";
	return NULL;
}

/*
 * One descriptor, whose name has @name_size bytes. NULL, or what is wrong; *ret_skip: nothing is,
 * but it is of a kind that is not known here.
 */
static const char *take_descriptor(struct umbra_kvm_stats *stats,
				   const struct kvm_stats_desc *descriptor, size_t name_size,
				   bool *ret_skip)
{
	struct umbra_kvm_stat *stat = &stats->stat[stats->nr];
	uint32_t type = (descriptor->flags & KVM_STATS_TYPE_MASK) >> KVM_STATS_TYPE_SHIFT;
	uint32_t unit = (descriptor->flags & KVM_STATS_UNIT_MASK) >> KVM_STATS_UNIT_SHIFT;
	uint32_t base = descriptor->flags & KVM_STATS_BASE_MASK;
	bool histogram = type == UMBRA_KVM_STAT_LINEAR || type == UMBRA_KVM_STAT_LOG;
	size_t length = strnlen(descriptor->name, name_size), first;

	if (descriptor->offset % sizeof(uint64_t) || descriptor->offset > MAX_OFFSET)
		return "the offset of a statistic";
	if (!descriptor->size || descriptor->size > MAX_BUCKETS)
		return "the size of a statistic";
	first = descriptor->offset / sizeof(uint64_t);
	if (first + descriptor->size > MAX_VALUES)
		return "the offset of a statistic";
	/* A later kernel may have kinds and names that this one has not. */
	*ret_skip = type >= UMBRA_KVM_STAT_TYPE_COUNT || unit >= UMBRA_KVM_STAT_UNIT_COUNT ||
		    base > KVM_STATS_BASE_POW2 || (!histogram && descriptor->size != 1) ||
		    length >= sizeof(stat->name) || descriptor->exponent < -30 ||
		    descriptor->exponent > 30;
	if (*ret_skip)
		return NULL;
	*stat = (struct umbra_kvm_stat){
		.type = type,
		.unit = unit,
		.base = base == KVM_STATS_BASE_POW2 ? 2 : 10,
		.exponent = descriptor->exponent,
		.nr_values = descriptor->size,
		.bucket = descriptor->bucket_size,
	};
	memcpy(stat->name, descriptor->name, length);
	if (!is_name(stat->name))
		return "the name of a statistic";
	stat->row = row_of(stat);
	stats->first[stats->nr] = first;
	if (first + descriptor->size > stats->nr_values)
		stats->nr_values = first + descriptor->size;
	return NULL;
}

/* NULL, or what is wrong; *ret_error then has the errno. */
static const char *read_descriptors(struct umbra_kvm_stats *stats,
				    const struct kvm_stats_header *header, int *ret_error)
{
	size_t size = sizeof(struct kvm_stats_desc) + header->name_size;
	struct kvm_stats_desc *one = malloc(size);
	uint8_t *all = malloc(header->num_desc * size);
	const char *wrong = NULL;

	stats->stat = calloc(header->num_desc, sizeof(*stats->stat));
	stats->first = calloc(header->num_desc, sizeof(*stats->first));
	*ret_error = -ENOMEM;
	if (one && all && stats->stat && stats->first)
		*ret_error = read_all(stats->fd, all, header->num_desc * size, header->desc_offset);
	if (*ret_error)
		wrong = "its descriptors";
	for (uint32_t i = 0; i < header->num_desc && !wrong; i++) {
		bool skip = false;

		memcpy(one, all + i * size, size); /* for its alignment */
		wrong = take_descriptor(stats, one, header->name_size, &skip);
		stats->nr += !wrong && !skip;
		if (wrong)
			*ret_error = -EBADMSG;
	}
	free(all);
	free(one);
	return wrong;
}

/* As in a message: what is no plain character is left out. */
static void clean_id(char *id)
{
	char *to = id;

	for (const char *from = id; *from; from++) {
		if (isalnum((unsigned char)*from) || strchr("_-/.", *from))
			*to++ = *from;
	}
	*to = '\0';
}

static const char *open_stats(struct umbra_kvm_stats *stats, int *ret_error)
{
	struct kvm_stats_header header;
	const char *wrong;
	size_t id_size;

	*ret_error = read_all(stats->fd, &header, sizeof(header), 0);
	if (*ret_error)
		return "its header";
	*ret_error = -EBADMSG;
	wrong = check_header(&header);
	if (wrong)
		return wrong;
	stats->data_offset = header.data_offset;
	id_size = header.name_size < sizeof(stats->id) ? header.name_size : sizeof(stats->id) - 1;
	*ret_error = read_all(stats->fd, stats->id, id_size, header.id_offset);
	if (*ret_error)
		return "its name";
	clean_id(stats->id);
	wrong = read_descriptors(stats, &header, ret_error);
	if (wrong)
		return wrong;
	stats->value = calloc(stats->nr_values + 1, sizeof(*stats->value));
	stats->reading = calloc(stats->nr_values + 1, sizeof(*stats->reading));
	if (stats->value && stats->reading)
		return NULL;
	*ret_error = -ENOMEM;
	return "its values";
}

int umbra_kvm_stats_open(int fd, struct umbra_kvm_stats **ret_stats, struct umbra_error *ret_error)
{
	struct umbra_kvm_stats *stats = calloc(1, sizeof(*stats));
	const char *wrong;
	int error;

	if (!stats)
		return umbra_error_set(ret_error, -ENOMEM, "KVM statistics", NULL, "out of memory");
	stats->fd = fd;
	wrong = open_stats(stats, &error);
	if (!wrong) {
		*ret_stats = stats;
		return 0;
	}
	umbra_kvm_stats_close(stats);
	/* A file that is too short is none of these either. */
	if (error == -ENODATA)
		error = -EBADMSG;
	return umbra_error_set(ret_error, error, "KVM statistics", wrong, "%s",
			       error == -EBADMSG ? "not as in a statistics descriptor of KVM"
						 : strerror(-error));
}

void umbra_kvm_stats_close(struct umbra_kvm_stats *stats)
{
	if (!stats)
		return;
	free(stats->stat);
	free(stats->first);
	free(stats->value);
	free(stats->reading);
	free(stats);
}

const char *umbra_kvm_stats_id(const struct umbra_kvm_stats *stats)
{
	return stats->id;
}

size_t umbra_kvm_stats_count(const struct umbra_kvm_stats *stats)
{
	return stats->nr;
}

const struct umbra_kvm_stat *umbra_kvm_stats_at(const struct umbra_kvm_stats *stats, size_t number)
{
	return &stats->stat[number];
}

const uint64_t *umbra_kvm_stats_values(const struct umbra_kvm_stats *stats, size_t number)
{
	return &stats->value[stats->first[number]];
}

/* --- values ----------------------------------------------------------------------------------- */

int umbra_kvm_stats_read_from(struct umbra_kvm_stats *stats, int fd)
{
	int error = read_all(fd, stats->reading, stats->nr_values * sizeof(uint64_t),
			     stats->data_offset);
	uint64_t *read = stats->reading;

	if (error)
		return error;
	stats->reading = stats->value;
	stats->value = read;
	return 0;
}

int umbra_kvm_stats_read(struct umbra_kvm_stats *stats)
{
	return umbra_kvm_stats_read_from(stats, stats->fd);
}

static uint64_t saturated(uint64_t value, uint64_t times)
{
	uint64_t product;

	return __builtin_mul_overflow(value, times, &product) ? UINT64_MAX : product;
}

/* In the unit of the row: a count, or nanoseconds of what is in base^exponent seconds. */
static uint64_t in_unit_of_row(const struct umbra_kvm_stat *stat, uint64_t value)
{
	int tens = stat->unit == UMBRA_KVM_STAT_SECONDS ? 9 : 0, twos = 0;

	if (stat->base == 10)
		tens += stat->exponent;
	else
		twos = stat->exponent;
	for (; tens > 0; tens--)
		value = saturated(value, 10);
	for (; twos > 0; twos--)
		value = saturated(value, 2);
	for (; tens < 0; tens++)
		value /= 10;
	for (; twos < 0; twos++)
		value /= 2;
	return value;
}

static void join(const struct umbra_kvm_stat *stat, uint64_t *sum, uint64_t value)
{
	if (stat->type == UMBRA_KVM_STAT_PEAK)
		*sum = value > *sum ? value : *sum;
	else
		*sum += value;
}

/* The place of @name, the same one for each vCPU; NULL: there is no room. */
static struct umbra_kvm_other *find_other(struct umbra_kvm_others *others, const char *name)
{
	struct umbra_kvm_other *other;

	for (uint32_t i = 0; i < others->nr; i++) {
		if (!strcmp(others->other[i].name, name))
			return &others->other[i];
	}
	if (others->nr == UMBRA_KVM_OTHERS_MAX)
		return NULL;
	other = &others->other[others->nr++];
	memcpy(other->name, name, sizeof(other->name));
	other->value = 0;
	return other;
}

static void add_other(struct umbra_kvm_others *others, const struct umbra_kvm_stat *stat,
		      const uint64_t *value)
{
	struct umbra_kvm_other *other = find_other(others, stat->name);

	if (!other)
		others->left_out++;
	for (unsigned i = 0; other && i < stat->nr_values; i++)
		join(stat, &other->value, value[i]);
}

void umbra_kvm_stats_add(const struct umbra_kvm_stats *stats, struct umbra_kvm_counters *sum,
			 struct umbra_known *known, struct umbra_kvm_others *others)
{
	uint64_t *numbers = (uint64_t *)sum;

	for (size_t i = 0; i < stats->nr; i++) {
		const struct umbra_kvm_stat *stat = &stats->stat[i];
		const uint64_t *value = umbra_kvm_stats_values(stats, i);

		if (stat->row != UMBRA_KVM_STAT_NO_ROW) {
			join(stat, &numbers[stat->row], in_unit_of_row(stat, *value));
			umbra_known_add(known, stat->row);
		} else if (others) {
			add_other(others, stat, value);
		}
	}
}
