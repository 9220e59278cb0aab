/* SPDX-License-Identifier: GPL-2.0-or-later */
/* ACPI Machine Language (ACPI 20), the few terms that a DSDT without methods needs. */
#ifndef DEVICE_AML_H
#define DEVICE_AML_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct aml {
	uint8_t *bytes;
	size_t size, capacity;
	bool full; /* something did not fit: what is there is no AML */
};

/* @path: four characters, or a backslash and four, padded with '_' as NameSegs are. */
void aml_name(struct aml *aml, const char *path); /* Name (@path, the object that follows) */
void aml_integer(struct aml *aml, uint64_t value);
void aml_string(struct aml *aml, const char *text);

/* What contains other terms; end it with aml_end() of what was returned. At most 4095 bytes. */
size_t aml_scope(struct aml *aml, const char *path);
size_t aml_device(struct aml *aml, const char *path);
size_t aml_package(struct aml *aml, uint8_t elements);
void aml_end(struct aml *aml, size_t begun);

#endif
