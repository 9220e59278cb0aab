/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "client/kvm.h"
#include "client/session.h"
#include "umbra/kvm_engine.h"
#include "web/view.h"

#define STATUS_GUEST_MAX    63 /* stands for all values above */
#define STATUS_ABNORMAL     120
#define STATUS_SECONDS      124
#define STATUS_INSTRUCTIONS 125
#define IMAGE_MAX           (1ull << 30)
/* Between two flushes of the console of a guest of KVM's, in nanoseconds. */
#define KVM_INTERVAL 100000000ull

struct session {
	struct session_config config;
	struct umbra_counters counters;
	struct kvm_host host; /* of a guest of the KVM engine */
	struct umbra_guest *guest;
	struct pilot *pilot;
	char *name; /* of the image, without directories */
	uint64_t wall_ns;
	/* --switch-every */
	uint64_t next_switch;
	uint64_t random;
};

/* What the signal handlers tell the run loop; the client runs one guest at a time. */
static struct {
	struct umbra_guest *volatile guest;
	volatile sig_atomic_t alarm;
	volatile sig_atomic_t signal;
} told;

static void on_alarm(int number)
{
	told.alarm = 1;
	if (told.guest)
		umbra_guest_kick(told.guest);
}

static void on_signal(int number)
{
	told.signal = number;
	if (told.guest)
		umbra_guest_kick(told.guest);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static int complain(const struct options *options, int status, const struct umbra_error *error)
{
	return options_refuse(options, status, "%s%s%s: %s", error->subject,
			      error->place[0] ? ": " : "", error->place, error->text);
}

/* The whole file; the caller frees. @what it should be: for messages. */
static int read_file(const struct options *options, const char *what, const char *path,
		     void **ret_data, size_t *ret_size)
{
	/* A FIFO without a writer must not be waited for. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t have = 0;
	char *data;

	if (fd < 0 || fstat(fd, &st)) {
		int err = errno;

		if (fd >= 0)
			close(fd);
		return options_refuse(options, EX_NOINPUT, "%s: %s", path, strerror(err));
	}
	if (!S_ISREG(st.st_mode) || st.st_size > (off_t)IMAGE_MAX) {
		close(fd);
		return options_refuse(options, EX_DATAERR, "%s: not %s: %s", path, what,
				      S_ISREG(st.st_mode) ? "larger than 1 GiB"
							  : "not a regular file");
	}
	data = malloc(st.st_size + 1);
	while (data && have < (size_t)st.st_size) {
		ssize_t n = read(fd, data + have, st.st_size - have);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		have += n;
	}
	close(fd);
	if (!data || have < (size_t)st.st_size) {
		free(data);
		return options_refuse(options, data ? EX_NOINPUT : EX_OSERR, "%s: cannot read it",
				      path);
	}
	*ret_data = data;
	*ret_size = have;
	return 0;
}

const char *session_file_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* What is read for a load and freed after it. */
struct files {
	void *data[UMBRA_MODULES_MAX + 2]; /* image, initrd, modules */
	struct umbra_module initrd, modules[UMBRA_MODULES_MAX];
	char *paths[UMBRA_MODULES_MAX]; /* of modules, without their strings */
};

static int read_modules(const struct options *options, struct files *files,
			struct umbra_image *image)
{
	int status = 0;

	if (options->initrd) {
		files->initrd.name = session_file_name(options->initrd);
		image->initrd = &files->initrd;
		status = read_file(options, "an initrd", options->initrd, &files->data[1],
				   &files->initrd.size);
		files->initrd.data = files->data[1];
	}
	for (unsigned int i = 0; i < options->nr_modules && !status; i++) {
		struct umbra_module *module = &files->modules[i];
		char *path = strdup(options->modules[i]);

		files->paths[i] = path;
		if (!path)
			return options_refuse(options, EX_OSERR, "out of memory");
		module->string = strchr(options->modules[i], ' ');
		if (module->string)
			path[module->string++ - options->modules[i]] = '\0';
		module->name = session_file_name(path);
		status = read_file(options, "a module", path, &files->data[i + 2], &module->size);
		module->data = files->data[i + 2];
	}
	image->modules = files->modules;
	image->nr_modules = options->nr_modules;
	return status;
}

/* Which of the command's parts is wrong, by what the core says. */
static int core_status(int err)
{
	switch (err) {
	case -EOPNOTSUPP: return EX_UNAVAILABLE;
	case -ENOEXEC: return EX_DATAERR;
	case -ENOSPC:
	case -E2BIG:
	case -EINVAL: return EX_USAGE;
	default: return EX_SOFTWARE;
	}
}

static int load(struct session *session)
{
	const struct options *options = session->config.options;
	struct umbra_image image = {.name = session->name, .append = options->append};
	struct files *files = calloc(1, sizeof(*files));
	struct umbra_error error = {0};
	int status, err;

	if (!files)
		return options_refuse(options, EX_OSERR, "out of memory");
	status =
		read_file(options, "an image", session->config.image, &files->data[0], &image.size);
	image.data = files->data[0];
	if (!status)
		status = read_modules(options, files, &image);
	if (!status) {
		err = umbra_guest_load(session->guest, &image, &error);
		if (err)
			status = complain(options, core_status(err), &error);
	}
	for (unsigned int i = 0; i < UMBRA_MODULES_MAX + 2; i++)
		free(files->data[i]);
	for (unsigned int i = 0; i < UMBRA_MODULES_MAX; i++)
		free(files->paths[i]);
	free(files);
	return status;
}

/* 0, or the exit status after the error was said. */
static int create_guest(struct session *session, struct umbra_guest_config *guest_config)
{
	const struct options *options = session->config.options;
	struct umbra_kvm_config kvm_config = {.fd = -1};
	struct umbra_error error = {0};
	int err, status;

	if (options->engine == UMBRA_ENGINE_KVM) {
		status = kvm_open(options, &session->config.choice, &kvm_config.fd, &session->host);
		if (status)
			return status;
		session->config.choice = (struct mode_choice){session->host.mode, POLICY_PINNED};
		guest_config->engine = UMBRA_ENGINE_KVM;
		guest_config->kvm = &kvm_config;
		guest_config->mode = session->host.mode;
		guest_config->interval = KVM_INTERVAL;
	}
	err = umbra_guest_create(guest_config, &session->counters, &session->guest, &error);
	if (kvm_config.fd >= 0)
		close(kvm_config.fd);
	return err ? complain(options, core_status(err), &error) : 0;
}

int session_create(const struct session_config *config, struct session **ret_session)
{
	const struct options *options = config->options;
	struct umbra_guest_config guest_config = {
		.mode = config->choice.mode,
		.clock = options->clock,
		.processor = options->processor,
		.memory = options->memory,
		.backing = options->backing,
		.ept_levels = options->levels,
		.cpus = options->cpus,
		.interval = options->interval,
		.cost = &options->costs.cost,
		.console = config->console,
	};
	struct pilot_config pilot_config = {.cost = &options->costs.cost};
	struct session *session = aligned_alloc(64, (sizeof(*session) + 63) & ~63ul);
	struct umbra_error error = {0};
	int err, status;

	if (!session)
		return options_refuse(options, EX_OSERR, "out of memory");
	memset(session, 0, sizeof(*session));
	session->config = *config;
	session->name = strdup(session_file_name(config->image));
	session->random = options->seed;
	if (!session->name) {
		session_destroy(session);
		return options_refuse(options, EX_OSERR, "out of memory");
	}
	guest_config.name = session->name;
	status = create_guest(session, &guest_config);
	if (!status)
		status = load(session);
	if (status) {
		session_destroy(session);
		return status;
	}
	pilot_config.kind = session->config.choice.policy;
	err = pilot_create(session->guest, &pilot_config, &session->pilot, &error);
	if (err) {
		session_destroy(session);
		return complain(options, EX_SOFTWARE, &error);
	}
	*ret_session = session;
	return 0;
}

void session_destroy(struct session *session)
{
	if (!session)
		return;
	pilot_destroy(session->pilot);
	umbra_guest_destroy(session->guest);
	free(session->name);
	free(session);
}

/* --- the schedule of --switch-every ------------------------------------------------------- */

/* SplitMix64: the same sequence for the same seed on every host. */
static uint64_t random_next(struct session *session)
{
	uint64_t z = session->random += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static void schedule_next(struct session *session)
{
	const struct options *options = session->config.options;
	uint64_t now = umbra_guest_counters(session->guest)->instructions[0];

	if (!options->switch_every)
		session->next_switch = UINT64_MAX;
	else if (options->seeded)
		session->next_switch =
			now + 1 + random_next(session) % (2 * options->switch_every - 1);
	else
		session->next_switch = now + options->switch_every;
}

/* Returns 0, or the exit status. */
static int scheduled_switch(struct session *session)
{
	static const enum umbra_mode modes[] = {UMBRA_MODE_EPT, UMBRA_MODE_SHADOW,
						UMBRA_MODE_BRUTE};
	const unsigned int nr = sizeof(modes) / sizeof(modes[0]);
	enum umbra_mode on = umbra_guest_mode(session->guest);
	struct umbra_error error = {0};
	unsigned int next = 0;

	if (session->config.options->seeded) {
		next = random_next(session) % nr;
	} else {
		while (modes[next] != on)
			next++;
		next = (next + 1) % nr;
	}
	/* The target may be the mode that is on: then nothing happens this time. */
	if (modes[next] != on && pilot_switch(session->pilot, modes[next], "schedule", &error))
		return complain(session->config.options, EX_SOFTWARE, &error);
	schedule_next(session);
	return 0;
}

/* --- the run ------------------------------------------------------------------------------ */

static int exit_status(const struct umbra_end *end)
{
	switch (end->reason) {
	case UMBRA_END_DEBUG_EXIT:
		return end->value > STATUS_GUEST_MAX ? STATUS_GUEST_MAX : (int)end->value;
	case UMBRA_END_POWER_OFF: return 0;
	case UMBRA_END_LIMIT_SECONDS: return STATUS_SECONDS;
	case UMBRA_END_LIMIT_INSTRUCTIONS: return STATUS_INSTRUCTIONS;
	default: return STATUS_ABNORMAL;
	}
}

/* What ends a run with its statistics. */
static const int stops[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE};

#define NR_STOPS (sizeof(stops) / sizeof(stops[0]))

static void arm(const struct options *options)
{
	struct sigaction alarm = {.sa_handler = on_alarm}, stop = {.sa_handler = on_signal}, before;
	double seconds = options->max_seconds;
	/* Again and again, for a kick between two runs of the guest is lost on nobody that way. */
	struct itimerval timer = {.it_interval = {.tv_usec = 100000}};

	told.alarm = 0;
	told.signal = 0;
	sigaction(SIGALRM, &alarm, NULL);
	for (size_t i = 0; i < NR_STOPS; i++) {
		sigaction(stops[i], NULL, &before);
		if (before.sa_handler == SIG_IGN) /* by nohup, say */
			continue;
		/* Once: a second one finds the default action. But each write to a pipe gives one.
		 */
		stop.sa_flags = stops[i] == SIGPIPE ? 0 : (int)SA_RESETHAND;
		sigaction(stops[i], &stop, NULL);
	}
	if (seconds > 0) {
		timer.it_value.tv_sec = (time_t)seconds;
		timer.it_value.tv_usec = (seconds - (time_t)seconds) * 1e6;
		if (!timer.it_value.tv_sec && !timer.it_value.tv_usec)
			timer.it_value.tv_usec = 1;
		setitimer(ITIMER_REAL, &timer, NULL);
	}
}

static void disarm(void)
{
	struct itimerval timer = {0};
	struct sigaction now;

	setitimer(ITIMER_REAL, &timer, NULL);
	for (size_t i = 0; i < NR_STOPS; i++) {
		sigaction(stops[i], NULL, &now);
		if (now.sa_handler == on_signal)
			signal(stops[i], SIG_DFL);
	}
	told.guest = NULL;
}

static int kicked(struct session *session)
{
	char text[64];

	if (told.signal) {
		snprintf(text, sizeof(text), "stopped by signal %d", (int)told.signal);
		umbra_guest_stop(session->guest, UMBRA_END_ERROR, text);
		return STATUS_SIGNAL + told.signal;
	}
	if (told.alarm) {
		snprintf(text, sizeof(text), "ran for %g s", session->config.options->max_seconds);
		umbra_guest_stop(session->guest, UMBRA_END_LIMIT_SECONDS, text);
	}
	return 0;
}

int session_run(struct session *session)
{
	const struct options *options = session->config.options;
	uint64_t start = now_ns();
	int status = 0;

	told.guest = session->guest;
	arm(options);
	schedule_next(session);
	while (!status && !umbra_guest_end(session->guest)) {
		uint64_t until = session->next_switch < options->max_instructions
					 ? session->next_switch
					 : options->max_instructions;
		enum umbra_event event = pilot_run(session->pilot, until);
		uint64_t retired = umbra_guest_counters(session->guest)->instructions[0];

		if (session->config.flush)
			session->config.flush(session->config.console.context);
		if (event == UMBRA_EVENT_ENDED)
			break;
		if (told.signal || told.alarm)
			status = kicked(session);
		else if (retired >= options->max_instructions)
			umbra_guest_stop(session->guest, UMBRA_END_LIMIT_INSTRUCTIONS,
					 "as many instructions as were asked for");
		else if (retired >= session->next_switch)
			status = scheduled_switch(session);
	}
	session->wall_ns = now_ns() - start;
	if (session->config.flush)
		session->config.flush(session->config.console.context);
	disarm();
	return status ? status : exit_status(umbra_guest_end(session->guest));
}

struct umbra_guest *session_guest(struct session *session)
{
	return session->guest;
}

struct pilot *session_pilot(struct session *session)
{
	return session->pilot;
}

const struct umbra_cost_table *session_costs(const struct session *session)
{
	return &session->config.options->costs;
}

uint64_t session_wall_ns(const struct session *session)
{
	return session->wall_ns;
}

json_t *session_json(struct session *session)
{
	const struct umbra_kvm_figures *figures = umbra_guest_kvm_figures(session->guest);
	struct umbra_registers registers[UMBRA_MAX_CPUS];
	char hash[33];
	struct guest_view view = {
		.guest = session->name,
		.engine = umbra_engine_name(umbra_guest_engine(session->guest)),
		.mode = umbra_guest_mode(session->guest),
		.policy = pilot_policy(session->pilot),
		.clock = session->config.options->clock,
		.processor = umbra_guest_processor(session->guest),
		.costs = &session->config.options->costs,
		.measured[METRIC_CORE] = {.values = umbra_guest_counters(session->guest),
					  .known = umbra_guest_counters_known(session->guest)},
		.end = umbra_guest_end(session->guest),
		.memory_hash = hash,
		.cpus = umbra_guest_cpus(session->guest),
		.registers = registers,
	};

	umbra_guest_memory_hash(session->guest, hash);
	for (unsigned int i = 0; i < view.cpus; i++)
		umbra_guest_registers(session->guest, i, &registers[i]);
	view.nr_switches = pilot_switches(session->pilot, &view.switches);
	view.nr_decisions = pilot_decisions(session->pilot, &view.decisions);
	if (figures) {
		view.mode_reason = session->host.reason;
		view.clock = UMBRA_CLOCK_COUNT;
		view.processor = NULL;
		view.costs = NULL;
		view.measured[METRIC_KVM] =
			(struct measured){.values = &figures->counters, .known = &figures->known};
		view.kvm_other = figures->others.other;
		view.nr_kvm_other = figures->others.nr;
	}
	return web_encode_guest(&view, true);
}

int session_open_json(const struct options *options, FILE **ret_file)
{
	*ret_file = NULL;
	if (!options->json)
		return 0;
	*ret_file = fopen(options->json, "we");
	if (!*ret_file)
		return options_refuse(options, EX_NOINPUT, "--json %s: %s", options->json,
				      strerror(errno));
	return 0;
}

int session_write_json(const struct options *options, json_t *json, FILE *file)
{
	bool ok = json && !json_dumpf(json, file, JSON_INDENT(2) | JSON_PRESERVE_ORDER) &&
		  fputc('\n', file) != EOF;

	json_decref(json);
	if (fclose(file))
		ok = false;
	if (ok)
		return 0;
	return options_refuse(options, json ? EX_NOINPUT : EX_SOFTWARE, "--json %s: %s",
			      options->json, json ? "cannot write it" : "out of memory");
}
