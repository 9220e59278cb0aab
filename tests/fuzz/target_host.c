/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as what umbra-collect reads of others. The first byte says what: a
 * uevent, a command line, a cgroup, a link in /proc/PID/fd, a descriptor of KVM's statistics.
 */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "collectors/proc.h"
#include "collectors/uevent.h"
#include "collectors/vm_name.h"
#include "target.h"
#include "umbra/kvm_counters.h"
#include "umbra/kvm_stats.h"

/* Text with an end of its own, of exactly @size bytes before it. */
static char *copy_text(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);

	if (!text)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	return text;
}

static void check_ended(const char *text, size_t room)
{
	if (strnlen(text, room) == room)
		abort();
}

static void take_uevent(const char *text, size_t size)
{
	struct uevent event;

	if (uevent_parse(text, size, &event))
		check_ended(event.folder, sizeof(event.folder));
}

static void take_command(const char *text, size_t size)
{
	struct vm_names names;
	char id[VM_ID_MAX];

	vm_names_of_command(text, size, &names);
	check_ended(names.name, sizeof(names.name));
	check_ended(names.uuid, sizeof(names.uuid));
	for (const char *c = names.name; *c; c++) {
		if ((unsigned char)*c < ' ')
			abort();
	}
	vm_id_of_name(names.name, id);
	check_ended(id, sizeof(id));
}

static void take_unit(const char *text, size_t size)
{
	char name[VM_NAME_MAX];

	vm_name_of_unit(text, name);
	check_ended(name, sizeof(name));
}

static void take_link(const char *text, size_t size)
{
	struct kvm_descriptor descriptor;
	pid_t tid;
	int fd;

	kvm_descriptor_parse(text, &descriptor);
	kvm_folder_parse(text, &tid, &fd);
}

/* The descriptor is another's: it may change between what it says of itself and what is read. */
static void take_statistics(const char *text, size_t size)
{
	struct umbra_kvm_counters counters = {0};
	struct umbra_kvm_others others = {0};
	struct umbra_known known = {0};
	struct umbra_kvm_stats *stats;
	struct umbra_error error;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		abort();
	if (!umbra_kvm_stats_open(fd, &stats, &error)) {
		if (!umbra_kvm_stats_read(stats))
			umbra_kvm_stats_add(stats, &counters, &known, &others);
		if (ftruncate(fd, (off_t)(size / 2)))
			abort();
		umbra_kvm_stats_read(stats);
		umbra_kvm_stats_close(stats);
	}
	close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const takers[])(const char *, size_t) = {
		take_uevent, take_command, take_unit, take_link, take_statistics,
	};
	char *text;

	if (!size)
		return 0;
	text = copy_text(data + 1, size - 1);
	takers[*data % (sizeof(takers) / sizeof(takers[0]))](text, size - 1);
	free(text);
	return 0;
}
