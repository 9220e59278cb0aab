/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <sys/utsname.h>
#include <unistd.h>

#include "umbra/guest.h"
#include "web/encode_host.h"
#include "web/text.h"

static json_t *rfc3339(time_t time)
{
	char text[TEXT_TIME_SIZE];

	return json_string(text_time(text, time, -1));
}

static json_t *encode_journal(const struct journal_view *journal)
{
	return json_pack("{s:s,s:s*,s:s*,s:I,s:I,s:I}", "state", journal->state, "path",
			 journal->path, "set_aside", journal->set_aside, "rows",
			 (json_int_t)journal->rows, "bytes", (json_int_t)journal->bytes, "dropped",
			 (json_int_t)journal->dropped);
}

static json_t *encode_configuration(const struct snapshot *snapshot)
{
	return json_pack("{s:o,s:b,s:s*}", "loaded", rfc3339(snapshot->config_loaded), "ok",
			 !snapshot->config_error, "error", snapshot->config_error);
}

static json_t *encode_hugetlb(const struct kvm_host *kvm)
{
	json_t *pools = json_array();

	for (size_t i = 0; i < kvm->nr_hugetlb; i++)
		json_array_append_new(pools, json_pack("{s:I,s:I,s:I}", "page_bytes",
						       (json_int_t)kvm->hugetlb[i].page_bytes,
						       "pages", (json_int_t)kvm->hugetlb[i].pages,
						       "free", (json_int_t)kvm->hugetlb[i].free));
	return pools;
}

/* What is empty is not known. */
static const char *known(const char *text)
{
	return *text ? text : NULL;
}

static json_t *encode_kvm(const struct kvm_host *kvm)
{
	return json_pack("{s:b,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:s*,s:o}", "available",
			 kvm->available, "module", known(kvm->module), "mode",
			 kvm->mode < UMBRA_MODE_COUNT ? umbra_mode_name(kvm->mode) : NULL,
			 "parameter", known(kvm->parameter), "reason", known(kvm->reason),
			 "transparent_hugepage", known(kvm->transparent_hugepage), "nx_huge_pages",
			 known(kvm->nx_huge_pages), "lockdown", known(kvm->lockdown), "hugetlb",
			 encode_hugetlb(kvm));
}

json_t *web_encode_host(const struct snapshot *snapshot, time_t started)
{
	json_int_t memory = (json_int_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
	json_t *modes = json_array(), *processors = json_array();
	const char *processor;
	struct utsname name;

	if (uname(&name))
		return NULL;
	for (int mode = 0; mode < UMBRA_MODE_COUNT; mode++)
		json_array_append_new(modes, json_string(umbra_mode_name(mode)));
	for (unsigned int i = 0; (processor = umbra_processor_name(i)); i++)
		json_array_append_new(processors, json_string(processor));
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:o,s:o,s:I,s:{s:s,s:s},s:o,s:o,s:b,s:o,s:o,s:o}",
		"version", PACKAGE_VERSION, "hostname", name.nodename, "kernel", name.release,
		"machine", name.machine, "cpus", (json_int_t)sysconf(_SC_NPROCESSORS_ONLN),
		"memory_bytes", memory, "pid", (json_int_t)getpid(), "started", rfc3339(started),
		"time", rfc3339(snapshot->time.tv_sec), "guests", (json_int_t)snapshot->nr_guests,
		"engines", "soft", "ok", "kvm",
		snapshot->kvm_engine ? snapshot->kvm_engine : "unsupported: not known", "modes",
		modes, "processors", processors, "frozen", snapshot->frozen, "journal",
		encode_journal(&snapshot->journal), "configuration", encode_configuration(snapshot),
		"kvm", encode_kvm(&snapshot->kvm));
}
