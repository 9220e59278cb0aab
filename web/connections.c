/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "config.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "web/connections.h"

/* Whose connection it is, comparable byte by byte: a family and an address, or a user. */
struct peer {
	int family;
	unsigned char address[16];
};

struct connection {
	struct connections *connections;
	struct connection *next, **link;
	struct peer peer;
	int fd;
	time_t since; /* when it began, or when its last answer was sent */
	bool busy;    /* with a whole request */
	bool shut;    /* it was shut down, and will soon end */
};

struct connections {
	pthread_mutex_t lock;     /* a thread serves them, another sweeps */
	struct connection *first; /* the newest */
	unsigned int most, open;  /* open: those that are not shut */
};

struct connections *connections_create(unsigned int most)
{
	struct connections *connections = calloc(1, sizeof(*connections));

	if (!connections)
		return NULL;
	pthread_mutex_init(&connections->lock, NULL);
	connections->most = most;
	return connections;
}

void connections_destroy(struct connections *connections)
{
	if (!connections)
		return;
	pthread_mutex_destroy(&connections->lock);
	free(connections);
}

static struct peer peer_of(int fd, const struct sockaddr *address)
{
	struct ucred user = {.uid = (uid_t)-1};
	socklen_t size = sizeof(user);
	struct peer peer = {.family = address ? address->sa_family : AF_UNIX};
	const struct in6_addr *v6;

	switch (peer.family) {
	case AF_INET:
		memcpy(peer.address, &((const struct sockaddr_in *)address)->sin_addr,
		       sizeof(struct in_addr));
		break;
	case AF_INET6:
		v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
		/* Who has one address often has all that share its first 64 bits: one peer. */
		memcpy(peer.address, v6, IN6_IS_ADDR_V4MAPPED(v6) ? sizeof(*v6) : 8);
		break;
	default:
		getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &user, &size);
		memcpy(peer.address, &user.uid, sizeof(user.uid));
		break;
	}
	return peer;
}

static bool same_peer(const struct peer *one, const struct peer *other)
{
	return !memcmp(one, other, sizeof(*one));
}

static unsigned int count_of(const struct connections *connections, const struct peer *peer)
{
	unsigned int count = 0;

	for (const struct connection *other = connections->first; other; other = other->next)
		count += !other->shut && same_peer(&other->peer, peer);
	return count;
}

/* Those without a request before those with one; of these the oldest. @one began before @other. */
static bool less_worth(const struct connection *one, const struct connection *other)
{
	return one->busy != other->busy ? other->busy : one->since <= other->since;
}

static void shut(struct connection *connection)
{
	shutdown(connection->fd, SHUT_RDWR);
	connection->shut = true;
	connection->connections->open--;
}

/* Makes room for one more. */
static void shut_one(struct connections *connections)
{
	struct connection *victim = NULL;
	unsigned int most = 0;

	for (struct connection *one = connections->first; one; one = one->next) {
		unsigned int count = one->shut ? 0 : count_of(connections, &one->peer);

		if (count > most || (count && count == most && less_worth(one, victim))) {
			victim = one;
			most = count;
		}
	}
	if (victim)
		shut(victim);
}

struct connection *connection_begin(struct connections *connections, int fd,
				    const struct sockaddr *address, time_t now)
{
	struct connection *connection = calloc(1, sizeof(*connection));

	if (!connection)
		return NULL;
	*connection = (struct connection){
		.connections = connections, .peer = peer_of(fd, address), .fd = fd, .since = now};
	pthread_mutex_lock(&connections->lock);
	if (connections->open >= connections->most)
		shut_one(connections);
	connection->next = connections->first;
	connection->link = &connections->first;
	if (connection->next)
		connection->next->link = &connection->next;
	connections->first = connection;
	connections->open++;
	pthread_mutex_unlock(&connections->lock);
	return connection;
}

void connection_request(struct connection *connection)
{
	if (!connection)
		return;
	pthread_mutex_lock(&connection->connections->lock);
	connection->busy = true;
	pthread_mutex_unlock(&connection->connections->lock);
}

void connection_answered(struct connection *connection, time_t now)
{
	if (!connection)
		return;
	pthread_mutex_lock(&connection->connections->lock);
	connection->busy = false;
	connection->since = now;
	pthread_mutex_unlock(&connection->connections->lock);
}

void connection_end(struct connection *connection)
{
	struct connections *connections;

	if (!connection)
		return;
	connections = connection->connections;
	pthread_mutex_lock(&connections->lock);
	*connection->link = connection->next;
	if (connection->next)
		connection->next->link = connection->link;
	connections->open -= !connection->shut;
	pthread_mutex_unlock(&connections->lock);
	free(connection);
}

void connections_sweep(struct connections *connections, time_t now, time_t seconds)
{
	pthread_mutex_lock(&connections->lock);
	for (struct connection *one = connections->first; one; one = one->next) {
		if (!one->shut && now - one->since > seconds)
			shut(one);
	}
	pthread_mutex_unlock(&connections->lock);
}
