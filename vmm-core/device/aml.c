/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "device/aml.h"

/* ACPI table 20.2.5: encodings */
#define ZERO_OP           0x00
#define ONE_OP            0x01
#define NAME_OP           0x08
#define BYTE_PREFIX       0x0a
#define WORD_PREFIX       0x0b
#define DWORD_PREFIX      0x0c
#define STRING_PREFIX     0x0d
#define QWORD_PREFIX      0x0e
#define SCOPE_OP          0x10
#define PACKAGE_OP        0x12
#define EXT_OP_PREFIX     0x5b
#define EXT_DEVICE_OP     0x82
#define ROOT_CHAR         '\\'
#define NAME_SEG          4

#define PKG_LENGTH_2      (1u << 6) /* one more byte follows the lead byte */
#define PKG_LENGTH_MAX    0xfffu
#define PKG_LENGTH_NIBBLE 0xfu

static void put(struct aml *aml, uint8_t byte)
{
	if (aml->size < aml->capacity)
		aml->bytes[aml->size++] = byte;
	else
		aml->full = true;
}

static void put_path(struct aml *aml, const char *path)
{
	if (*path == ROOT_CHAR)
		put(aml, (uint8_t)*path++);
	for (unsigned i = 0; i < NAME_SEG; i++)
		put(aml, *path ? (uint8_t)*path++ : '_');
}

void aml_name(struct aml *aml, const char *path)
{
	put(aml, NAME_OP);
	put_path(aml, path);
}

void aml_integer(struct aml *aml, uint64_t value)
{
	unsigned size = value > UINT32_MAX ? 8 : value > UINT16_MAX ? 4 : value > UINT8_MAX ? 2 : 1;

	if (value <= 1) {
		put(aml, value ? ONE_OP : ZERO_OP);
		return;
	}
	put(aml, size == 8   ? QWORD_PREFIX
		 : size == 4 ? DWORD_PREFIX
		 : size == 2 ? WORD_PREFIX
			     : BYTE_PREFIX);
	for (unsigned i = 0; i < size; i++)
		put(aml, (uint8_t)(value >> 8 * i));
}

void aml_string(struct aml *aml, const char *text)
{
	put(aml, STRING_PREFIX);
	do
		put(aml, (uint8_t)*text);
	while (*text++);
}

/* Leaves room for a PkgLength of two bytes. */
static size_t begin(struct aml *aml)
{
	size_t begun = aml->size;

	put(aml, 0);
	put(aml, 0);
	return begun;
}

size_t aml_scope(struct aml *aml, const char *path)
{
	size_t begun;

	put(aml, SCOPE_OP);
	begun = begin(aml);
	put_path(aml, path);
	return begun;
}

size_t aml_device(struct aml *aml, const char *path)
{
	size_t begun;

	put(aml, EXT_OP_PREFIX);
	put(aml, EXT_DEVICE_OP);
	begun = begin(aml);
	put_path(aml, path);
	return begun;
}

size_t aml_package(struct aml *aml, uint8_t elements)
{
	size_t begun;

	put(aml, PACKAGE_OP);
	begun = begin(aml);
	put(aml, elements);
	return begun;
}

/* ACPI 20.2.4: the length counts itself. */
void aml_end(struct aml *aml, size_t begun)
{
	size_t length = aml->size - begun;

	if (length > PKG_LENGTH_MAX)
		aml->full = true;
	if (aml->full)
		return;
	aml->bytes[begun] = (uint8_t)(PKG_LENGTH_2 | (length & PKG_LENGTH_NIBBLE));
	aml->bytes[begun + 1] = (uint8_t)(length >> 4);
}
