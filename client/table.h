/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A table for people: columns as wide as what is in them. */
#ifndef CLIENT_TABLE_H
#define CLIENT_TABLE_H

struct table;

/*
 * @headings: one a column, separated by spaces; one that begins with '>' (which is not shown) has
 * its cells at the right. NULL: out of memory.
 */
struct table *table_create(const char *headings);
/* The next cell of the present row; a row begins after the last column's cell. */
void table_cell(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line of its own below the row that was made last. */
void table_note(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
void table_free(struct table *table); /* may be NULL */
/* Prints all and frees it. 0, or the exit status: there was not enough memory, told. */
int table_print(struct table *table);

#endif
