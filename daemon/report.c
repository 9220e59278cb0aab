/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/report.h"
#include "daemon/untrusted.h"

enum { REPORT_MAGIC = 0x4c4c4f43 /* "COLL" */, REPORT_VERSION = 1 };

struct header {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	uint32_t layout; /* sizes of what both sides must agree on */
	uint32_t nr;     /* of the elements that follow the body */
};

/* Times of exits are sparse: only slots that count something are sent. */
struct slot {
	uint16_t reason, slot;
	uint32_t reserved;
	uint64_t count;
};

enum { SLOTS_MAX = KVM_EXIT_REASON_COUNT * EXIT_SLOT_COUNT };

/* A sample without what follows it. */
struct sample_body {
	uint32_t number;
	uint32_t nr_other;
	uint64_t time;
	struct umbra_kvm_counters kvm;
	struct umbra_known kvm_known;
	struct kvm_exits_counters kvm_exits;
	struct umbra_known kvm_exits_known;
	struct perf_event_counters perf_event;
	struct umbra_known perf_event_known;
};

/* As it is on its way; what has elements has as many of them as the header says. */
struct packet {
	struct header header;
	union {
		struct report_host host;
		struct report_collector collector;
		struct {
			struct vm vm;
			struct vm_vcpu vcpus[REPORT_VCPUS_MAX];
		} vm;
		struct report_gone gone;
		struct {
			struct sample_body body;
			struct umbra_kvm_other other[KVM_OTHER_MAX];
			struct slot slots[SLOTS_MAX];
		} sample;
		struct report_round round;
	};
};

#define BODY offsetof(struct packet, host)

/* Two builds whose tables differ must not understand each other wrongly. */
static const uint32_t layout =
	sizeof(struct sample_body) * 4096 + KVM_EXIT_REASON_COUNT * 64 + sizeof(struct vm) % 64;

static int send_pieces(int fd, enum report_type type, uint32_t nr, struct iovec *pieces,
		       size_t nr_pieces)
{
	struct header header = {
		.magic = REPORT_MAGIC,
		.version = REPORT_VERSION,
		.type = type,
		.layout = layout,
		.nr = nr,
	};
	struct msghdr message = {.msg_iov = pieces, .msg_iovlen = nr_pieces};
	ssize_t sent;

	pieces[0] = (struct iovec){&header, BODY};
	do
		sent = sendmsg(fd, &message, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : 0;
}

int report_send_vm(int fd, const struct vm *vm)
{
	struct vm copy = *vm;
	size_t nr = vm->nr_vcpus < REPORT_VCPUS_MAX ? vm->nr_vcpus : REPORT_VCPUS_MAX;
	struct iovec pieces[] = {
		{0}, {&copy, sizeof(copy)}, {(void *)vm->vcpus, nr * sizeof(*vm->vcpus)}};

	copy.vcpus = NULL;
	return send_pieces(fd, REPORT_VM, nr, pieces, 3);
}

static size_t pack_slots(const struct vm_sample *sample, struct slot slots[SLOTS_MAX])
{
	size_t nr = 0;

	for (size_t reason = 0; reason < KVM_EXIT_REASON_COUNT; reason++) {
		for (size_t slot = 0; slot < EXIT_SLOT_COUNT; slot++) {
			uint64_t count = sample->exit_slots[reason][slot];

			if (count)
				slots[nr++] = (struct slot){reason, slot, 0, count};
		}
	}
	return nr;
}

static int send_sample(int fd, const struct report_sample *report)
{
	const struct vm_sample *sample = &report->sample;
	const struct sample_body body = {
		.number = report->number,
		.nr_other = sample->nr_kvm_other,
		.time = sample->time,
		.kvm = sample->kvm,
		.kvm_known = sample->kvm_known,
		.kvm_exits = sample->kvm_exits,
		.kvm_exits_known = sample->kvm_exits_known,
		.perf_event = sample->perf_event,
		.perf_event_known = sample->perf_event_known,
	};
	struct slot slots[SLOTS_MAX];
	size_t nr = pack_slots(sample, slots);
	struct iovec pieces[] = {
		{0},
		{(void *)&body, sizeof(body)},
		{(void *)sample->kvm_other, sample->nr_kvm_other * sizeof(sample->kvm_other[0])},
		{slots, nr * sizeof(slots[0])}};

	return send_pieces(fd, REPORT_SAMPLE, nr, pieces, 4);
}

int report_send(int fd, const struct report *report)
{
	struct iovec pieces[2];

	switch (report->type) {
	case REPORT_HOST:
		pieces[1] = (struct iovec){(void *)&report->host, sizeof(report->host)};
		break;
	case REPORT_COLLECTOR:
		pieces[1] = (struct iovec){(void *)&report->collector, sizeof(report->collector)};
		break;
	case REPORT_GONE:
		pieces[1] = (struct iovec){(void *)&report->gone, sizeof(report->gone)};
		break;
	case REPORT_ROUND:
		pieces[1] = (struct iovec){(void *)&report->round, sizeof(report->round)};
		break;
	case REPORT_SAMPLE: return send_sample(fd, &report->sample);
	default: return -EINVAL;
	}
	return send_pieces(fd, report->type, 0, pieces, 2);
}

#define ENDS(text) (memchr(text, '\0', sizeof(text)) != NULL)

static bool take_host(const struct packet *packet, size_t size, struct report *ret)
{
	const struct report_host *host = &packet->host;

	if (size != sizeof(*host) || !ENDS(host->processor) || !isfinite(host->frequency) ||
	    host->frequency < 0 || host->frequency > 1e12)
		return false;
	ret->host = *host;
	return true;
}

static bool take_collector(const struct packet *packet, size_t size, struct report *ret)
{
	const struct report_collector *collector = &packet->collector;

	if (size != sizeof(*collector) || !ENDS(collector->name) || !ENDS(collector->state) ||
	    !is_bool(&collector->own.has_runs) || !is_bool(&collector->own.has_lost))
		return false;
	ret->collector = *collector;
	return true;
}

static bool take_vm(const struct packet *packet, size_t size, struct report *ret)
{
	const struct vm *vm = &packet->vm.vm;
	size_t nr = packet->header.nr;

	if (nr > REPORT_VCPUS_MAX || size != sizeof(*vm) + nr * sizeof(packet->vm.vcpus[0]) ||
	    vm->nr_vcpus > VM_VCPUS_MAX || nr > vm->nr_vcpus || vm->pid <= 0 || vm->fd < -1 ||
	    !ENDS(vm->id) || !*vm->id || !ENDS(vm->name) || !ENDS(vm->process) || !ENDS(vm->unit))
		return false;
	ret->vm.vm = *vm;
	ret->vm.vm.vcpus = NULL;
	memcpy(ret->vm.vcpus, packet->vm.vcpus, nr * sizeof(packet->vm.vcpus[0]));
	/* Those beyond what a report carries have no thread that is known. */
	memset(ret->vm.vcpus + nr, 0, (REPORT_VCPUS_MAX - nr) * sizeof(ret->vm.vcpus[0]));
	return true;
}

static bool take_gone(const struct packet *packet, size_t size, struct report *ret)
{
	ret->gone = packet->gone;
	return size == sizeof(packet->gone);
}

static bool take_slots(const struct packet *packet, const char *bytes, struct vm_sample *ret)
{
	for (uint32_t i = 0; i < packet->header.nr; i++) {
		struct slot slot;

		memcpy(&slot, bytes + i * sizeof(slot), sizeof(slot));
		if (slot.reason >= KVM_EXIT_REASON_COUNT || slot.slot >= EXIT_SLOT_COUNT)
			return false;
		ret->exit_slots[slot.reason][slot.slot] = slot.count;
	}
	return true;
}

static bool take_sample(const struct packet *packet, size_t size, struct report *ret)
{
	const struct sample_body *body = &packet->sample.body;
	struct vm_sample *sample = &ret->sample.sample;
	size_t other_size;

	if (size < sizeof(*body) || body->nr_other > KVM_OTHER_MAX || packet->header.nr > SLOTS_MAX)
		return false;
	other_size = body->nr_other * sizeof(sample->kvm_other[0]);
	if (size != sizeof(*body) + other_size + packet->header.nr * sizeof(struct slot))
		return false;
	memset(&ret->sample, 0, sizeof(ret->sample));
	ret->sample.number = body->number;
	sample->time = body->time;
	sample->kvm = body->kvm;
	sample->kvm_known = body->kvm_known;
	sample->kvm_exits = body->kvm_exits;
	sample->kvm_exits_known = body->kvm_exits_known;
	sample->perf_event = body->perf_event;
	sample->perf_event_known = body->perf_event_known;
	sample->nr_kvm_other = body->nr_other;
	memcpy(sample->kvm_other, packet->sample.other, other_size);
	for (size_t i = 0; i < sample->nr_kvm_other; i++) {
		if (!ENDS(sample->kvm_other[i].name))
			return false;
	}
	return take_slots(packet, (const char *)packet->sample.other + other_size, sample);
}

static bool take_round(const struct packet *packet, size_t size, struct report *ret)
{
	ret->round = packet->round;
	return size == sizeof(packet->round);
}

int report_receive(int fd, struct report *ret_report)
{
	static bool (*const takers[REPORT_TYPE_COUNT])(const struct packet *, size_t,
						       struct report *) = {
		[REPORT_HOST] = take_host,     [REPORT_COLLECTOR] = take_collector,
		[REPORT_VM] = take_vm,         [REPORT_GONE] = take_gone,
		[REPORT_SAMPLE] = take_sample, [REPORT_ROUND] = take_round,
	};
	struct packet packet;
	struct iovec piece = {&packet, sizeof(packet)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	ssize_t received;

	do
		received = recvmsg(fd, &message, 0);
	while (received < 0 && errno == EINTR);
	if (received < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (!received)
		return 0;
	if ((size_t)received < BODY || (message.msg_flags & MSG_TRUNC) ||
	    packet.header.magic != REPORT_MAGIC || packet.header.version != REPORT_VERSION ||
	    packet.header.layout != layout || packet.header.type >= REPORT_TYPE_COUNT)
		return -EBADMSG;
	ret_report->type = packet.header.type;
	return takers[packet.header.type](&packet, received - BODY, ret_report) ? 1 : -EBADMSG;
}
