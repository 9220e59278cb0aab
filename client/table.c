/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/client.h"
#include "client/table.h"

enum { COLUMNS_MAX = 16, CELL_MAX = 256, NAME_WIDTH_MAX = 24, NOTE_WIDTH_MAX = 98 };

struct cell {
	char *text;
	bool note;
};

struct table {
	unsigned int nr_columns;
	bool right[COLUMNS_MAX];
	struct cell *cells;
	size_t nr_cells, capacity;
	bool failed;
};

/* Leaves at most @width characters, all of them whole. */
static void cut(char *text, size_t width)
{
	size_t len = strlen(text), start = len;

	/* What was cut before may have ended in the middle of one. */
	while (start && (text[start - 1] & 0xc0) == 0x80)
		start--;
	if (len + 1 == CELL_MAX && start && (text[start - 1] & 0x80))
		text[start - 1] = '\0';
	for (size_t i = 0; text[i]; i++) {
		if ((text[i] & 0xc0) == 0x80 || width--)
			continue;
		text[i] = '\0';
		return;
	}
}

static void add(struct table *table, bool note, const char *format, va_list arguments)
{
	char text[CELL_MAX];

	if (!table)
		return;
	if (table->nr_cells == table->capacity) {
		size_t capacity = table->capacity ? 2 * table->capacity : 64;
		struct cell *grown = realloc(table->cells, capacity * sizeof(*grown));

		if (!grown) {
			table->failed = true;
			return;
		}
		table->cells = grown;
		table->capacity = capacity;
	}
	vsnprintf(text, sizeof(text), format, arguments);
	cut(text, note ? NOTE_WIDTH_MAX : CELL_MAX);
	table->cells[table->nr_cells] = (struct cell){.text = strdup(text), .note = note};
	if (table->cells[table->nr_cells].text)
		table->nr_cells++;
	else
		table->failed = true;
}

void table_cell(struct table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(table, false, format, arguments);
	va_end(arguments);
}

void table_note(struct table *table, const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	add(table, true, format, arguments);
	va_end(arguments);
}

struct table *table_create(const char *headings)
{
	struct table *table = calloc(1, sizeof(*table));

	while (table && *headings && table->nr_columns < COLUMNS_MAX) {
		size_t len = strcspn(headings, " ");
		bool right = *headings == '>';

		table->right[table->nr_columns++] = right;
		table_cell(table, "%.*s", (int)(len - right), headings + right);
		headings += len;
		headings += *headings == ' ';
	}
	return table;
}

void table_free(struct table *table)
{
	for (size_t i = 0; table && i < table->nr_cells; i++)
		free(table->cells[i].text);
	if (table)
		free(table->cells);
	free(table);
}

/* A name that is longer than its column has a line of its own. */
static int width_of(const struct cell *cell, unsigned int column)
{
	int width = (int)strlen(cell->text);

	return !column && width > NAME_WIDTH_MAX ? 0 : width;
}

static void print_cell(const struct table *table, const struct cell *cell, unsigned int column,
		       const int *widths)
{
	bool last = column + 1 == table->nr_columns;
	const char *text = cell->text;

	if (!column && strlen(text) > NAME_WIDTH_MAX) {
		printf("%s\n", text);
		text = "";
	}
	if (table->right[column])
		printf("%*s", widths[column], text);
	else
		printf("%-*s", last ? 0 : widths[column], text);
	putchar(last ? '\n' : ' ');
}

int table_print(struct table *table)
{
	int widths[COLUMNS_MAX] = {0};
	unsigned int column = 0;
	int status = 0;

	if (!table || table->failed) {
		fputs("umbra: out of memory\n", stderr);
		status = CLIENT_FAULT;
	}
	for (size_t i = 0; !status && i < table->nr_cells; i++) {
		const struct cell *cell = &table->cells[i];

		if (cell->note)
			continue;
		if (width_of(cell, column) > widths[column])
			widths[column] = width_of(cell, column);
		column = (column + 1) % table->nr_columns;
	}
	for (size_t i = 0; !status && i < table->nr_cells; i++) {
		if (table->cells[i].note) {
			printf("%s\n", table->cells[i].text);
			continue;
		}
		print_cell(table, &table->cells[i], column, widths);
		column = (column + 1) % table->nr_columns;
	}
	table_free(table);
	return status;
}
