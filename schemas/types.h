/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Umbra's JSON objects are made of, as rows: the source of every JSON Schema. */
#ifndef SCHEMAS_TYPES_H
#define SCHEMAS_TYPES_H

#include <stdbool.h>
#include <stddef.h>

#include "schemas/names.h"

enum field_kind {
	FIELD_STRING,
	FIELD_HEX,   /* a number as a string 0x...: JSON's readers often lose bits above 2^53 */
	FIELD_COUNT, /* an integer, 0 or more */
	FIELD_NUMBER,
	FIELD_BOOLEAN,
	FIELD_ENUM,    /* one name of a list */
	FIELD_OBJECT,  /* an object of another type */
	FIELD_LIST,    /* an array of objects of another type */
	FIELD_STRINGS, /* an array of strings */
	FIELD_MAP,     /* names of a list, each with an object of another type; none is required */
	FIELD_TEXTS,   /* names of a list, each with a string */
	FIELD_COUNTS,  /* any names, each with an integer, 0 or more */
};

struct field {
	const char *key; /* NULL ends the rows */
	enum field_kind kind;
	bool required;
	const char *help;              /* with the unit */
	const char *type;              /* OBJECT, LIST, MAP */
	const struct name_list *names; /* ENUM, MAP, TEXTS */
	const char *unit;              /* COUNT, NUMBER; NULL: a number of what help says */
	const char *pattern;           /* STRING; NULL: any */
	bool nullable;
	bool unless_observed; /* required if the object is no observed guest */
	bool if_soft;         /* required if the object is a guest of the soft engine */
};

struct object_type {
	const char *name;  /* NULL ends the rows */
	const char *title; /* not NULL: a schema of its own, NAME.json */
	const char *help;
	const struct field *fields;
	bool exactly_one; /* of its fields is given */
	bool has_metrics; /* the metrics of schemas/metrics.def too */
};

extern const struct object_type object_types[];

#endif
