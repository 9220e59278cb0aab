/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A libFuzzer target: any bytes as what a compromised umbra-collect reports. umbrad takes it or
 * ends the connection, and what it serves afterwards is JSON. An input is a row of packets: a good
 * report of some type with bytes of the input's choice laid over it at some place.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/journal.h"
#include "daemon/observed_advice.h"
#include "daemon/sampler.h"
#include "target.h"
#include "target_json.h"
#include "web/encode_metrics.h"

/* Followed by so many bytes to lay over. */
struct packet {
	uint8_t type, number;
	uint16_t where;        /* the first byte to lay over */
	uint8_t nr_bytes, cut; /* it ends @cut bytes early */
};

enum { PACKETS_MAX = 32, BYTES_MAX = 65536 };

static struct registry registry;
static struct observed observed;
static struct kvm_host kvm;
static char path[64];
static int loop, maker[2], connection = -1;
static uint64_t seconds = ADVICE_SECONDS;

static void clean(void)
{
	unlink(path);
}

static void start(void)
{
	const struct journal_config journal_config = {.bytes = 1 << 20, .days = 1};
	struct journal *journal;
	int fd;

	snprintf(path, sizeof(path), "/tmp/umbra-fuzz-%d.sock", (int)getpid());
	atexit(clean);
	loop = loop_create();
	if (journal_create(&journal_config, &journal, &fd) ||
	    observed_open(&observed, loop, path) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, maker))
		abort();
	registry_init(&registry, journal);
	kvm_host_read("/nonexistent", &kvm);
	kvm.mode = UMBRA_MODE_EPT;
}

static void reconnect(void)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};

	if (connection >= 0)
		close(connection);
	loop_turn(loop, 0);
	connection = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	snprintf(name.sun_path, sizeof(name.sun_path), "%s", path);
	if (connection < 0 || connect(connection, (struct sockaddr *)&name, sizeof(name)))
		abort();
	loop_turn(loop, 0);
}

/* What an umbra-collect in order would send. */
static size_t make_report(const struct packet *packet, char bytes[BYTES_MAX])
{
	static struct report report;
	struct vm_vcpu vcpus[] = {{0, 17}, {1, 18}};
	struct vm vm = {.number = packet->number & 3, .pid = 7, .fd = 9, .vcpus = vcpus};
	ssize_t size;
	int code;

	memset(&report, 0, sizeof(report));
	report.type = packet->type % REPORT_TYPE_COUNT;
	snprintf(vm.id, sizeof(vm.id), "vm-%d", vm.number);
	vm.nr_vcpus = 2;
	switch (report.type) {
	case REPORT_HOST: strcpy(report.host.processor, "icelake"); break;
	case REPORT_COLLECTOR:
		strcpy(report.collector.name, packet->number & 1 ? "kvm" : "perf_event");
		strcpy(report.collector.state, "ok");
		break;
	case REPORT_GONE: report.gone.number = vm.number; break;
	case REPORT_SAMPLE:
		report.sample.number = vm.number;
		report.sample.sample.time = seconds * 1000000000;
		memset(&report.sample.sample.kvm_exits, packet->number, 64);
		memset(&report.sample.sample.kvm_exits_known, packet->number, 64);
		memset(&report.sample.sample.kvm_known, packet->number, 64);
		memset(&report.sample.sample.perf_event_known, packet->number, 64);
		report.sample.sample.exit_slots[3][packet->number % EXIT_SLOT_COUNT] = 5;
		report.sample.sample.nr_kvm_other = packet->number & 1;
		break;
	default: break;
	}
	code = report.type == REPORT_VM ? report_send_vm(maker[0], &vm)
					: report_send(maker[0], &report);
	size = code ? -1 : recv(maker[1], bytes, BYTES_MAX, 0);
	if (size <= 0)
		abort();
	return size;
}

static void check_what_is_served(void)
{
	const struct sampler_source source = {&registry, &observed, &kvm, true};
	struct snapshot *snapshot;
	struct text text = {0};
	struct metrics_view view = {0};
	size_t len;

	seconds += ADVICE_SECONDS;
	observed_advise(&observed, &kvm, "", seconds);
	snapshot = sampler_take(&source);
	if (!snapshot)
		abort();
	for (size_t i = 0; i < snapshot->nr_guests; i++) {
		web_write_guest(&text, &snapshot->guests[i], true);
		target_check_json(&text);
	}
	view.snapshot = snapshot;
	free(web_encode_metrics(&view, true, &len));
	snapshot_unref(snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char bytes[BYTES_MAX];
	struct packet packet;

	if (connection < 0)
		start();
	reconnect();
	for (int i = 0; i < PACKETS_MAX && size >= sizeof(packet); i++) {
		size_t len, extra;

		memcpy(&packet, data, sizeof(packet));
		data += sizeof(packet);
		size -= sizeof(packet);
		extra = packet.nr_bytes < size ? packet.nr_bytes : size;
		len = make_report(&packet, bytes);
		if (packet.where < len)
			memcpy(bytes + packet.where, data,
			       extra < len - packet.where ? extra : len - packet.where);
		data += extra;
		size -= extra;
		if (packet.cut < len)
			len -= packet.cut;
		if (send(connection, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
			reconnect();
		loop_turn(loop, 0);
	}
	check_what_is_served();
	return 0;
}
