/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <ctype.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "collectors/vm_name.h"

/* Programs that run VMs, and what of their command lines names one. */
enum program { NO_PROGRAM, QEMU, FIRECRACKER, CLOUD_HYPERVISOR, CROSVM, KVMTOOL };

static const struct {
	const char *pattern; /* for the file name of the program */
	enum program program;
} programs[] = {
	{"qemu*", QEMU},
	{"kvm", QEMU},
	{"firecracker*", FIRECRACKER},
	{"cloud-hypervisor*", CLOUD_HYPERVISOR},
	{"crosvm*", CROSVM},
	{"lkvm*", KVMTOOL},
	{"kvmtool*", KVMTOOL},
};

/* Takes what it can of an option's value. */
typedef void take_value(const char *value, struct vm_names *ret);
static take_value take_qemu_name, take_name, take_firecracker_id, take_uuid, take_platform;

static const struct {
	enum program program;
	const char *option; /* behind one dash or two */
	take_value *take;
} options[] = {
	{QEMU, "name", take_qemu_name},
	{QEMU, "uuid", take_uuid},
	{FIRECRACKER, "id", take_firecracker_id},
	{CLOUD_HYPERVISOR, "platform", take_platform},
	{CROSVM, "name", take_name},
	{KVMTOOL, "name", take_name},
	{KVMTOOL, "n", take_name},
};

void vm_name_clean(char *text)
{
	for (; *text; text++) {
		if (iscntrl((unsigned char)*text))
			*text = '?';
	}
}

/* In UTF-8 nothing is cut within a character. */
static void set_name(char ret_name[VM_NAME_MAX], const char *from)
{
	size_t length = strnlen(from, VM_NAME_MAX);

	if (length == VM_NAME_MAX) {
		length--;
		while (length && ((unsigned char)from[length] & 0xc0) == 0x80)
			length--;
	}
	memcpy(ret_name, from, length);
	ret_name[length] = '\0';
	vm_name_clean(ret_name);
}

static void take_name(const char *value, struct vm_names *ret)
{
	set_name(ret->name, value);
}

static void take_firecracker_id(const char *value, struct vm_names *ret)
{
	/* What it calls itself if it is not told. */
	if (strcmp(value, "anonymous-instance") != 0)
		take_name(value, ret);
}

/* The standard form of 36 characters; anything else is none. */
static void take_uuid(const char *value, struct vm_names *ret)
{
	static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
	bool zero = true;

	for (size_t i = 0; i < sizeof(form); i++) {
		if (form[i] == 'x' ? !isxdigit((unsigned char)value[i]) : value[i] != form[i])
			return;
		zero = zero && strchr("0-", value[i]);
	}
	if (zero)
		return;
	for (size_t i = 0; i < sizeof(form); i++)
		ret->uuid[i] = (char)tolower((unsigned char)value[i]);
}

/*
 * The next KEY=VALUE of QEMU's lists, whose commas are doubled in values; false: there is none. A
 * word without "=" is a key alone.
 */
static bool next_pair(const char **at, char *key, char *value, size_t size)
{
	const char *from = *at;
	size_t length = strcspn(from, "=,");

	if (!*from)
		return false;
	snprintf(key, size, "%.*s", (int)length, from);
	value[0] = '\0';
	from += length;
	length = 0;
	if (*from == '=') {
		for (from++; *from && (*from != ',' || from[1] == ','); from++) {
			from += *from == ',';
			if (length < size - 1)
				value[length++] = *from;
		}
		value[length] = '\0';
	}
	*at = from + (*from == ',');
	return true;
}

/* "guest=NAME,process=...", or "NAME,process=...". */
static void take_qemu_name(const char *value, struct vm_names *ret)
{
	char key[4 * VM_NAME_MAX], text[4 * VM_NAME_MAX], *implied;

	if (value[strcspn(value, "=,")] != '=') {
		if (asprintf(&implied, "guest=%s", value) < 0)
			return;
		take_qemu_name(implied, ret);
		free(implied);
		return;
	}
	while (next_pair(&value, key, text, sizeof(key))) {
		if (!strcmp(key, "guest"))
			take_name(text, ret);
	}
}

/* "uuid=UUID,..." */
static void take_platform(const char *value, struct vm_names *ret)
{
	char key[VM_NAME_MAX], text[VM_NAME_MAX];

	while (next_pair(&value, key, text, sizeof(key))) {
		if (!strcmp(key, "uuid"))
			take_uuid(text, ret);
	}
}

static enum program find_program(const char *path)
{
	const char *slash = strrchr(path, '/');

	for (size_t i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		if (!fnmatch(programs[i].pattern, slash ? slash + 1 : path, 0))
			return programs[i].program;
	}
	return NO_PROGRAM;
}

/* How @argument takes its value: by "=", from the next argument (*ret_value NULL), or not at all.
 */
static take_value *find_option(enum program program, const char *argument, const char **ret_value)
{
	if (*argument != '-')
		return NULL;
	argument += 1 + (argument[1] == '-');
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		size_t length = strlen(options[i].option);

		if (options[i].program != program ||
		    strncmp(argument, options[i].option, length) != 0)
			continue;
		*ret_value = argument[length] == '=' ? argument + length + 1 : NULL;
		if (!argument[length] || (*ret_value && program != QEMU))
			return options[i].take;
	}
	return NULL;
}

void vm_names_of_command(const char *command, size_t length, struct vm_names *ret)
{
	const char *end = command + length, *value;
	enum program program = find_program(command);
	take_value *pending = NULL, *take;

	*ret = (struct vm_names){0};
	if (!length || program == NO_PROGRAM)
		return;
	for (const char *argument = command; argument < end; argument += strlen(argument) + 1) {
		if (pending) {
			pending(argument, ret);
			pending = NULL;
			continue;
		}
		take = find_option(program, argument, &value);
		if (take && value)
			take(value, ret);
		else
			pending = take;
	}
}

static int hex_digit(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* systemd's escapes of unit names: "\xHH", and "-" for a slash. */
static void unescape(const char *from, size_t length, char *to, size_t size)
{
	size_t at = 0;

	for (size_t i = 0; i < length && at < size - 1; i++) {
		if (from[i] == '\\' && i + 3 < length && from[i + 1] == 'x' &&
		    isxdigit((unsigned char)from[i + 2]) && isxdigit((unsigned char)from[i + 3])) {
			to[at++] = (char)(hex_digit(from[i + 2]) << 4 | hex_digit(from[i + 3]));
			i += 3;
		} else {
			to[at++] = from[i] == '-' ? '/' : from[i];
		}
	}
	to[at] = '\0';
}

void vm_name_of_unit(const char *unit, char ret_name[VM_NAME_MAX])
{
	static const char prefix[] = "machine-", suffix[] = ".scope";
	size_t length = strlen(unit), fixed = strlen(prefix) + strlen(suffix);
	char name[VM_UNIT_MAX];
	size_t driver, number;

	ret_name[0] = '\0';
	if (length <= fixed || strncmp(unit, prefix, strlen(prefix)) != 0 ||
	    strcmp(unit + length - strlen(suffix), suffix) != 0)
		return;
	unescape(unit + strlen(prefix), length - fixed, name, sizeof(name));
	/* libvirt's DRIVER-NUMBER-NAME. */
	driver = strcspn(name, "-");
	number = name[driver] ? strspn(name + driver + 1, "0123456789") : 0;
	if (number && name[driver + 1 + number] == '-')
		set_name(ret_name, name + driver + 1 + number + 1);
	else
		set_name(ret_name, name);
}

void vm_id_of_name(const char *name, char ret_id[VM_ID_MAX])
{
	size_t i;

	for (i = 0; i < VM_ID_MAX - 1 && name[i]; i++) {
		const unsigned char c = (unsigned char)name[i];
		bool plain = (c < 0x80 && isalnum(c)) || strchr("-_.", c);

		/* No "." and "..", which paths take for something else. */
		ret_id[i] = plain && (i || c != '.') ? (char)c : '_';
	}
	ret_id[i] = '\0';
}
