/* SPDX-License-Identifier: GPL-2.0-or-later */
/* umbrad's configuration: INI files, every key checked, nothing ignored. */
#ifndef DAEMON_CONFIGURATION_H
#define DAEMON_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ini/complaints.h"
#include "policy/policy.h"
#include "umbra/mode.h"

#define CONFIG_DEFAULT_FILE      SYSCONFDIR "/umbra/umbra.conf"
#define CONFIG_DEFAULT_DIRECTORY SYSCONFDIR "/umbra/umbra.conf.d"
#define CONFIG_DEFAULT_SOCKET    "/run/umbra/umbra.sock"
#define CONFIG_DEFAULT_STATE     "/var/lib/umbra"

enum {
	CONFIG_NAME_MAX = 40,
	CONFIG_PATH_MAX = 4096,
	CONFIG_APPEND_MAX = 2047, /* bytes */
	CONFIG_GUESTS_MAX = 10000,
	CONFIG_WORKLOADS_MAX = 1000,
};

/* Where a section begins. */
struct config_place {
	unsigned int file; /* index of the configuration's files */
	unsigned int line;
};

/* The keys mode and policy as one section has them. */
struct config_choice {
	bool has_mode, has_policy;
	enum umbra_mode mode;     /* auto starts in ept */
	enum policy_kind implied; /* by the mode: auto, else pinned */
	enum policy_kind policy;
};

struct config_costs; /* daemon/configuration_guest.h */

struct guest_config {
	char name[CONFIG_NAME_MAX + 1];
	struct config_place place;
	bool wrong;                    /* in one of its keys, which was told */
	char *image, *initrd, *append; /* empty: none; never NULL */
	struct config_choice choice;
	enum umbra_mode mode; /* at start; like policy, of the guest's own keys or of a rule */
	enum policy_kind policy;
	bool by_rule; /* the policy is that of a rule */
	enum umbra_engine engine;
	enum umbra_clock clock;
	uint64_t memory; /* bytes */
	unsigned int cpus;
	bool has_processor;
	unsigned int processor; /* number, see umbra_processor_name() */
	uint64_t interval;      /* units of guest time; 0 until config_finish(): that of [policy] */
	bool restart;           /* when it has ended or failed, whatever the reason */
	bool console;           /* its output goes to umbrad's standard error */
	struct config_costs *costs; /* of the processor; NULL until config_finish() */
};

/* A rule: which guests without a mode of their own it is about, and what they get. */
struct workload_config {
	char name[CONFIG_NAME_MAX + 1];
	struct config_place place;
	bool wrong;
	char *match, *match_image; /* shell patterns; empty: any; never NULL */
	struct config_choice choice;
};

/* What can be measured. All but soft are umbra-collect's. */
enum config_collector {
	CONFIG_COLLECTOR_SOFT,
	CONFIG_COLLECTOR_DISCOVERY,
	CONFIG_COLLECTOR_KVM,
	CONFIG_COLLECTOR_KVM_EXITS,
	CONFIG_COLLECTOR_PERF_EVENT,
	CONFIG_COLLECTOR_COUNT,
};

struct config {
	char listen_address[64];   /* numeric, without brackets */
	uint16_t listen_port;      /* 0: any free one */
	char socket[108];          /* what a sockaddr_un holds */
	char collect_socket[108];  /* where umbra-collect connects; empty: nowhere */
	bool has_collect_socket;   /* it was configured; else it lies beside socket */
	char *costs;               /* a file that replaces figures of the cost model; empty: none */
	char *state_directory;     /* of the journal; empty: it is in memory only */
	uint64_t journal_size;     /* bytes of the journal's file */
	unsigned int journal_days; /* that its records are kept */
	unsigned int hang_timeout; /* seconds after which a silent worker counts as hung */
	uint64_t interval;         /* units of guest time between decisions */
	enum policy_kind policy;   /* of guests that neither they nor a rule says one for */
	bool collectors[CONFIG_COLLECTOR_COUNT]; /* which are on */
	/* kvm_exits takes the time of exits in timing_seconds of every timing_period seconds. */
	unsigned int timing_seconds, timing_period;
	struct guest_config *guests;
	size_t nr_guests;
	struct workload_config *workloads; /* the first that matches counts */
	size_t nr_workloads;
	char **files; /* that were read, in order */
	size_t nr_files;
};

/* Which files, and what the command line says instead of them. */
struct config_source {
	const char *file;   /* NULL: the default files */
	const char *listen; /* well-formed; NULL: not given */
	const char *socket; /* likewise */
};

/*
 * Reads all of it. 0, and config_free() is the caller's; else *ret_config is as it was, and
 * @complaints has all that is wrong: -ENOENT where a file is missing, -EINVAL where something is
 * unknown or wrong, else the errno of what could not be read; of the first complaint.
 */
int config_load(const struct config_source *source, struct config *ret_config,
		struct complaints *complaints);
void config_free(struct config *config);
/* NULL: there is none of that name. */
struct guest_config *config_find_guest(const struct config *config, const char *name);
/*
 * Takes from @with what may change while umbrad runs: all but listen, both sockets and what is
 * the journal's. What @config had is @with's then.
 */
void config_take_over(struct config *config, struct config *with);
/* The images and initrds that cannot be read now, which is no mistake: their guests only fail. */
void config_check_images(const struct config *config, struct complaints *warnings);

/* The steps of config_load(). 0 or -ENOMEM. */
int config_init(struct config *config);
/* Reads @file and adds it to @config; a later file may set a key anew. Errors as above. */
int config_read(struct config *config, const char *file, struct complaints *complaints);
/* Reads @file, if there is one, and then each DIRECTORY/?*.conf in the order of their bytes. */
int config_read_default(struct config *config, const char *file, const char *directory,
			struct complaints *complaints);
/* What can be told only when everything was read: rules, what is missing, costs. */
int config_finish(struct config *config, struct complaints *complaints);

/* As in [collector NAME] and in the API. */
const char *config_collector_name(enum config_collector collector);

/* "ADDR:PORT" with a numeric address, IPv6 in brackets. 0 or -EINVAL. */
int config_parse_listen(const char *text, char ret_address[64], uint16_t *ret_port);

#endif
