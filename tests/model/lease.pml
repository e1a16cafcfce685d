/*
 * Lease and fencing (docs/protocol.md, rules 1 to 9) as a model for spin: the broker, WORKERS hosts, CLIENTS sessions.
 *
 * One process; each turn of its loop is one message that arrives, one thing that a client begins, or one fault. The network is a bag: any
 * message may arrive next, or never. A process that is not chosen for a while is a process that stands still, so a zombie (SIGSTOP, then
 * SIGCONT) needs no case of its own. FAULTS faults of any kind strike at any moment: a host is killed, a worker is taken for lost (and is
 * not), a lease lapses, the broker restarts empty, a client's connection breaks (it sends again), a client gives its worker up.
 *
 * The promise: an answer that a session takes as that of its step k comes from a world that this session began and that did exactly k
 * steps. So no step is lost, done twice in effect, or done in somebody else's episode. A session that lost its worker begins anew on
 * another with BEGIN (restore and replay, in one job here), then asks for the awaited step again.
 *
 * Defects are compiled in with -D: HOST_ANY_LEASE, HOST_ANY_SEQ, BROKER_ANY_ANSWER, CLIENT_ANY_ANSWER, NO_REPLAY, NAMES_AGAIN (what they mean is
 * in test_model.py). COMPLETE asks for the opposite: a history in which both sessions finish.
 */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef CLIENTS
#define CLIENTS 2
#endif
#ifndef STEPS
#define STEPS 2
#endif
#ifndef FAULTS
#define FAULTS 2
#endif
#ifndef SLOTS
#define SLOTS 4 /* messages on their way at once; one more is lost */
#endif

#define NOBODY 0
#define BROKER 1
#define HOST(w) (2 + (w)) /* in histories: 1 is the broker, then come the hosts, then the clients */
#define CLIENT(c) (2 + WORKERS + (c))

mtype = { ACQUIRE, GRANTED, RELEASE, BEGIN, STEP, DONE, REFUSED, GRANT, REVOKE, RELEASED, WHO, ATTACH };

typedef Message {
	byte to;     /* NOBODY: the slot is free */
	byte from;   /* a client or a worker, by its number */
	byte life;   /* of a host: which of this worker's hosts it is */
	mtype kind;
	byte lease, epoch, seq, request;
	byte value   /* what BEGIN begins with; whose world and how many steps, in DONE; the worker, in GRANTED; the client, in GRANT, ATTACH */
};

Message net[SLOTS];

/* the hosts: worker/ledger.py, and a world that counts */
typedef Host {
	byte life, lease, epoch, client, seq;
	bool cached; /* there is an answer to seq */
	byte answer;
	byte owner, steps /* whose episode, and how far */
};
Host host[WORKERS];

/* the broker: broker/table.py */
typedef Worker {
	byte life;            /* of the host that the keeper names */
	bool attached, asked; /* asked: WHO is on its way */
	byte lease, epoch, client;      /* lease 0: none */
	byte running, request, begins;  /* seq and request number of the running job; 0: none. What it begins with, plus one; 0: a STEP */
	byte revoking, revoking_epoch;
	byte last, last_epoch;          /* the latest grant to the present host */
	byte highest                    /* the highest epoch ever granted on it */
};
Worker worker[WORKERS];
byte top, minted, base; /* highest epoch granted; leases minted ever; of them by earlier brokers */
int ended;              /* a bit for each lease that this broker knows to be over */

/* the sessions: b2d_zmq/session.py */
typedef Session {
	byte worker, lease, epoch, seq;
	bool there;             /* the worker is in this episode, at step done */
	byte request;           /* the latest request's number */
	mtype awaited;          /* what it asked for; 0: nothing */
	bool torn;              /* the connection broke: nobody will answer */
	byte done               /* steps whose answer was taken */
};
Session session[CLIENTS];

byte faults;
/* scratch, all zero between two turns of the loop */
Message m; /* the one that arrives */
byte i, k, w, c, found;

#define WORLD(client, steps) (16 * ((client) + 1) + (steps))

inline copy(x, y) {
	x.to = y.to; x.from = y.from; x.life = y.life; x.kind = y.kind;
	x.lease = y.lease; x.epoch = y.epoch; x.seq = y.seq; x.request = y.request; x.value = y.value
}

inline erase(x) {
	x.to = NOBODY; x.from = 0; x.life = 0; x.kind = 0;
	x.lease = 0; x.epoch = 0; x.seq = 0; x.request = 0; x.value = 0
}

#define BEFORE(n, to_, kind_, from_, request_) (net[n].to > to_ || net[n].to == to_ && (net[n].kind > kind_ || \
	net[n].kind == kind_ && (net[n].from > from_ || net[n].from == from_ && net[n].request >= request_)))

/* Put a message into the bag; a full one loses it. The slots are kept sorted, the free ones last, so that equal bags are equal states. */
inline post(to_, from_, life_, kind_, lease_, epoch_, seq_, request_, value_) {
	if
	:: net[SLOTS - 1].to == NOBODY ->
		k = SLOTS - 1;
		do
		:: k > 0 && !BEFORE(k - 1, to_, kind_, from_, request_) -> copy(net[k], net[k - 1]); k--
		:: else -> break
		od;
		net[k].to = to_; net[k].from = from_; net[k].life = life_; net[k].kind = kind_;
		net[k].lease = lease_; net[k].epoch = epoch_; net[k].seq = seq_; net[k].request = request_; net[k].value = value_;
		k = 0
	:: else
	fi
}

inline take_out(n) {
	k = n;
	do
	:: k < SLOTS - 1 -> copy(net[k], net[k + 1]); k++
	:: else -> break
	od;
	erase(net[SLOTS - 1]);
	k = 0
}

/* what can have no effect any more, whenever it arrives: taken out at once, so that there are fewer states */
#ifdef CLIENT_ANY_ANSWER
#define LATE(n) false
#else
#define LATE(n) (net[n].to >= CLIENT(0) && net[n].request != session[net[n].to - CLIENT(0)].request)
#endif
#ifdef BROKER_ANY_ANSWER
#define GONE(n) false
#else
#define GONE(n) (net[n].to == BROKER && FROM_HOST(n) && net[n].life < worker[net[n].from].life)
#endif
#define FROM_HOST(n) (net[n].kind == DONE || net[n].kind == REFUSED || net[n].kind == ATTACH || net[n].kind == RELEASED)
#define VAIN(n) (net[n].to && (LATE(n) || GONE(n) || net[n].to >= HOST(0) && net[n].to < CLIENT(0) && net[n].life != host[net[n].to - HOST(0)].life))

inline tidy() {
	i = 0;
	do
	:: i < SLOTS && VAIN(i) -> take_out(i)
	:: i < SLOTS && !VAIN(i) -> i++
	:: else -> break
	od;
	i = 0
}

/* ---- the broker ---- */

inline to_host(w_, kind_, lease_, epoch_, value_) { post(HOST(w_), 0, worker[w_].life, kind_, lease_, epoch_, 0, 0, value_) }

inline revoke(w_, lease_, epoch_) {
	worker[w_].revoking = lease_; worker[w_].revoking_epoch = epoch_;
	to_host(w_, REVOKE, lease_, epoch_, 0)
}

inline idle(w_) { worker[w_].running = 0; worker[w_].request = 0; worker[w_].begins = 0 }

/* a lease is over: its running job is answered; where its host lives it is told, and the worker is free when RELEASED comes */
inline over(w_, living) {
	printf("lease %d of worker %d is over\n", worker[w_].lease, w_);
	ended = ended | (1 << worker[w_].lease);
	if
	:: worker[w_].running -> post(CLIENT(worker[w_].client), 0, 0, REFUSED, 0, 0, 0, worker[w_].request, 0)
	:: else
	fi;
	if
	:: living -> revoke(w_, worker[w_].lease, worker[w_].epoch)
	:: else
	fi;
	worker[w_].lease = 0; worker[w_].epoch = 0; worker[w_].client = 0; idle(w_)
}

/* the worker is taken for lost */
inline detach(w_) {
	printf("worker %d counts as lost\n", w_);
	if
	:: worker[w_].lease -> over(w_, false)
	:: else
	fi;
	worker[w_].attached = false; worker[w_].asked = false;
	worker[w_].revoking = 0; worker[w_].revoking_epoch = 0
}

inline hold(w_, lease_, epoch_, client_) {
	worker[w_].lease = lease_; worker[w_].epoch = epoch_; worker[w_].client = client_;
	worker[w_].last = lease_; worker[w_].last_epoch = epoch_;
	if
	:: epoch_ > worker[w_].highest -> worker[w_].highest = epoch_
	:: else
	fi;
	if
	:: epoch_ > top -> top = epoch_
	:: else
	fi
}

inline grant(w_, client_, request_) {
	minted++;
	if
	:: worker[w_].highest > top -> top = worker[w_].highest
	:: else
	fi;
	hold(w_, minted, top + 1, client_);
	to_host(w_, GRANT, worker[w_].lease, worker[w_].epoch, client_);
	post(CLIENT(client_), 0, 0, GRANTED, worker[w_].lease, worker[w_].epoch, 0, request_, w_)
}

#define FREE(w_) (worker[w_].attached && !worker[w_].lease && !worker[w_].revoking)

/* an ACQUIRE for which no worker is free is not taken from the net, see MAY_ARRIVE */
inline acquire() {
	w = 0;
	do
	:: !FREE(w) -> w++
	:: else -> break
	od;
	grant(w, m.from, m.request);
	w = 0
}

inline release() {
	w = 0;
	do
	:: w < WORKERS && worker[w].lease != m.lease -> w++
	:: else -> break
	od;
	if
	:: w < WORKERS -> over(w, true)
	:: else
	fi;
	w = 0
}

/* a job of a client: forwarded, ignored, or refused. (One that has to wait behind another is not taken from the net, see MAY_ARRIVE.) */
inline forward() {
	w = 0;
	do
	:: w < WORKERS && !(worker[w].lease == m.lease && worker[w].epoch == m.epoch) -> w++
	:: else -> break
	od;
	if
	:: w < WORKERS && worker[w].running && worker[w].request == m.request -> skip
	:: w < WORKERS && !worker[w].running ->
		worker[w].running = m.seq; worker[w].request = m.request;
		if
		:: m.kind == BEGIN -> worker[w].begins = m.value + 1
		:: else
		fi;
		post(HOST(w), m.from, worker[w].life, m.kind, m.lease, m.epoch, m.seq, m.request, m.value)
	:: else -> post(CLIENT(m.from), 0, 0, REFUSED, 0, 0, 0, m.request, 0)
	fi;
	w = 0
}

inline pass_on() {
	w = m.from;
#ifdef BROKER_ANY_ANSWER
	found = worker[w].lease && worker[w].running;
#else
	found = worker[w].lease == m.lease && worker[w].epoch == m.epoch && worker[w].life == m.life &&
		worker[w].running && worker[w].running == m.seq && worker[w].request == m.request;
#endif
	if
	:: found ->
		post(CLIENT(worker[w].client), 0, 0, m.kind, m.lease, m.epoch, m.seq, m.request, m.value);
		idle(w)
	:: else
	fi;
	found = false; w = 0
}

/* a host that was heard of by this broker for the first time, or again, holds a lease: true after a restart, out of date otherwise */
inline take_up() {
	i = 0;
	do
	:: i < WORKERS && worker[i].lease != m.lease -> i++
	:: else -> break
	od;
	if
	:: m.lease > base || (ended & (1 << m.lease)) || (i < WORKERS && worker[i].epoch >= m.epoch) -> revoke(w, m.lease, m.epoch)
	:: else ->
		if
		:: i < WORKERS -> over(i, true); ended = ended & ~(1 << m.lease)
		:: else
		fi;
		hold(w, m.lease, m.epoch, m.value)
	fi;
	i = 0
}

inline again(w_, kind_, value_) {
	post(HOST(w_), worker[w_].client, worker[w_].life, kind_, worker[w_].lease, worker[w_].epoch, worker[w_].running, worker[w_].request, value_)
}

inline attach() {
	w = m.from;
	if
	:: m.life == worker[w].life ->
		worker[w].attached = true; worker[w].asked = false;
		if
		:: m.epoch > worker[w].highest -> worker[w].highest = m.epoch
		:: else
		fi;
		if
		:: worker[w].lease ->
			if
			:: worker[w].lease != m.lease || worker[w].epoch != m.epoch -> to_host(w, GRANT, worker[w].lease, worker[w].epoch, worker[w].client)
			:: else
			fi;
			if /* the running job once more: the connection may have lost it */
			:: worker[w].running && worker[w].begins -> again(w, BEGIN, worker[w].begins - 1)
			:: worker[w].running && !worker[w].begins -> again(w, STEP, 0)
			:: else
			fi
		:: else ->
			/* what the host may not know to be over: the lease being revoked, or a grant that it has not seen */
			if
			:: !worker[w].revoking && worker[w].last && m.epoch < worker[w].last_epoch ->
				worker[w].revoking = worker[w].last; worker[w].revoking_epoch = worker[w].last_epoch
			:: else
			fi;
			if
			:: worker[w].revoking && (m.lease || m.epoch < worker[w].revoking_epoch) ->
				if
				:: m.lease && (m.lease != worker[w].revoking || m.epoch != worker[w].revoking_epoch) -> to_host(w, REVOKE, m.lease, m.epoch, 0)
				:: else
				fi;
				revoke(w, worker[w].revoking, worker[w].revoking_epoch)
			:: else ->
				worker[w].revoking = 0; worker[w].revoking_epoch = 0;
				if
				:: m.lease -> take_up()
				:: else
				fi
			fi
		fi
	:: else
	fi;
	w = 0
}

inline released() {
	if
	:: m.life == worker[m.from].life && worker[m.from].revoking == m.lease && worker[m.from].revoking_epoch == m.epoch ->
		worker[m.from].revoking = 0; worker[m.from].revoking_epoch = 0
	:: else
	fi
}

inline at_broker() {
	if
	:: m.kind == ACQUIRE -> acquire()
	:: m.kind == RELEASE -> release()
	:: m.kind == BEGIN || m.kind == STEP -> forward()
	:: m.kind == DONE || m.kind == REFUSED -> pass_on()
	:: m.kind == ATTACH -> attach()
	:: m.kind == RELEASED -> released()
	fi
}

/* ---- a host ---- */

inline reply(w_, kind_, value_) { post(BROKER, w_, host[w_].life, kind_, m.lease, m.epoch, m.seq, m.request, value_) }

inline forget(w_) { host[w_].owner = 0; host[w_].steps = 0 }

inline job() {
	if
#ifndef HOST_ANY_LEASE
	:: host[w].lease == 0 || host[w].lease != m.lease || host[w].epoch != m.epoch -> reply(w, REFUSED, 0)
	:: else ->
#else
	:: true ->
#endif
		if
#ifndef HOST_ANY_SEQ
		:: m.seq == host[w].seq && host[w].cached -> reply(w, DONE, host[w].answer)
		:: !(m.seq == host[w].seq && host[w].cached) && m.seq != host[w].seq + 1 && !(m.kind == BEGIN && m.seq > host[w].seq) -> reply(w, REFUSED, 0)
		:: else ->
#else
		:: true ->
#endif
			host[w].seq = m.seq;
			if
			:: m.kind == BEGIN -> host[w].owner = m.from + 1; host[w].steps = m.value
			:: else -> host[w].steps++
			fi;
			host[w].cached = true; host[w].answer = 16 * host[w].owner + host[w].steps;
			reply(w, DONE, host[w].answer)
		fi
	fi
}

inline announce(w_) { post(BROKER, w_, host[w_].life, ATTACH, host[w_].lease, host[w_].epoch, 0, 0, host[w_].client) }

inline at_host() {
	w = m.to - HOST(0);
	if
	:: m.life != host[w].life -> skip /* it was for the host before */
	:: else ->
		if
		:: m.kind == WHO -> announce(w)
		:: m.kind == GRANT ->
			if
			:: m.epoch > host[w].epoch ->
				host[w].lease = m.lease; host[w].epoch = m.epoch; host[w].client = m.value;
				host[w].seq = 0; host[w].cached = false; host[w].answer = 0; forget(w)
			:: else
			fi
		:: m.kind == REVOKE ->
			if
			:: host[w].lease == m.lease && host[w].epoch == m.epoch ->
				host[w].lease = 0; host[w].client = 0; host[w].cached = false; host[w].answer = 0; forget(w)
			:: else
			fi;
			post(BROKER, w, host[w].life, RELEASED, m.lease, m.epoch, 0, 0, 0)
		:: m.kind == BEGIN || m.kind == STEP -> job()
		fi
	fi;
	w = 0
}

/* ---- a session ---- */

inline lose(c_) {
	session[c_].lease = 0; session[c_].epoch = 0; session[c_].worker = 0; session[c_].seq = 0;
	session[c_].there = false; session[c_].awaited = 0; session[c_].torn = false
}

inline at_client() {
	c = m.to - CLIENT(0);
	if
#ifdef CLIENT_ANY_ANSWER
	:: !session[c].awaited -> skip
#else
	:: !session[c].awaited || m.request != session[c].request -> skip /* late, or somebody else's: dropped */
#endif
	:: else ->
		if
		:: m.kind == REFUSED -> lose(c)
		:: m.kind == GRANTED ->
			session[c].lease = m.lease; session[c].epoch = m.epoch; session[c].worker = m.value; session[c].seq = 0;
			session[c].there = false; session[c].awaited = 0; session[c].torn = false
		:: m.kind == DONE && session[c].awaited == BEGIN ->
			assert(m.value == WORLD(c, session[c].done));
			session[c].there = true; session[c].awaited = 0; session[c].torn = false
		:: m.kind == DONE && session[c].awaited == STEP ->
			assert(m.value == WORLD(c, session[c].done + 1));
			session[c].done++; session[c].awaited = 0; session[c].torn = false;
			if
			:: session[c].done == STEPS -> post(BROKER, c, 0, RELEASE, m.lease, 0, 0, 0, 0); lose(c)
			:: else
			fi
		:: else -> skip
		fi
	fi;
	c = 0
}

/* the next request; one that is sent again keeps its seq and its number */
inline ask(c_) {
	if
	:: !session[c_].torn ->
		session[c_].request++;
		if
		:: !session[c_].lease -> session[c_].awaited = ACQUIRE
		:: session[c_].lease && !session[c_].there -> session[c_].awaited = BEGIN; session[c_].seq++
		:: else -> session[c_].awaited = STEP; session[c_].seq++
		fi
	:: else -> session[c_].torn = false
	fi;
	printf("client %d asks for %e of lease %d, seq %d, number %d\n", c_, session[c_].awaited, session[c_].lease, session[c_].seq, session[c_].request);
#ifdef NO_REPLAY
	post(BROKER, c_, 0, session[c_].awaited, session[c_].lease, session[c_].epoch, session[c_].seq, session[c_].request, 0)
#else
	post(BROKER, c_, 0, session[c_].awaited, session[c_].lease, session[c_].epoch, session[c_].seq, session[c_].request, session[c_].done)
#endif
}

/* ---- faults ---- */

inline kill(w_) {
	printf("host %d is killed\n", w_);
	host[w_].life++; host[w_].lease = 0; host[w_].epoch = 0; host[w_].client = 0; host[w_].seq = 0;
	host[w_].cached = false; host[w_].answer = 0; forget(w_)
}

inline tear(c_) {
	printf("the connection of client %d breaks\n", c_);
	session[c_].torn = true
}

inline give_up(c_) {
	printf("client %d gives lease %d up\n", c_, session[c_].lease);
	lose(c_)
}

inline restart() {
	printf("the broker restarts\n");
	w = 0;
	do
	:: w < WORKERS ->
		worker[w].attached = false; worker[w].asked = false;
		worker[w].lease = 0; worker[w].epoch = 0; worker[w].client = 0; idle(w);
		worker[w].revoking = 0; worker[w].revoking_epoch = 0; worker[w].last = 0; worker[w].last_epoch = 0; worker[w].highest = 0;
		worker[w].life = host[w].life; w++
	:: else -> break
	od;
	w = 0; top = 0; base = minted; ended = 0;
#ifdef NAMES_AGAIN
	minted = 0; base = 15; /* no boot word in the names: any may be an earlier broker's */
#endif
	i = 0;
	do
	:: i < SLOTS && net[i].to == BROKER -> take_out(i)
	:: i < SLOTS && net[i].to != BROKER -> i++
	:: else -> break
	od;
	i = 0; c = 0;
	do
	:: c < CLIENTS -> session[c].torn = session[c].awaited != 0; c++
	:: else -> break
	od;
	c = 0
}

/* a job that has to wait behind another of its lease, an ACQUIRE for which no worker is free */
#define QUEUED(w_, n) (worker[w_].lease == net[n].lease && worker[w_].epoch == net[n].epoch && worker[w_].running && worker[w_].request != net[n].request)
#define JOB(n) (net[n].kind == BEGIN || net[n].kind == STEP)
#if WORKERS > 1
#define WAITS(n) (net[n].kind == ACQUIRE && !FREE(0) && !FREE(1) || JOB(n) && (QUEUED(0, n) || QUEUED(1, n)))
#else
#define WAITS(n) (net[n].kind == ACQUIRE && !FREE(0) || JOB(n) && QUEUED(0, n))
#endif
#define MAY_ARRIVE(n) (net[n].to && !(net[n].to == BROKER && WAITS(n)))

inline arrive(n) {
	copy(m, net[n]);
	take_out(n);
	printf("%e of lease %d, epoch %d, seq %d, number %d reaches %d\n", m.kind, m.lease, m.epoch, m.seq, m.request, m.to);
	if
	:: m.to == BROKER -> at_broker()
	:: m.to >= HOST(0) && m.to < CLIENT(0) -> at_host()
	:: m.to >= CLIENT(0) -> at_client()
	fi;
	erase(m)
}

#define MAY_ASK(c_) ((!session[c_].awaited || session[c_].torn) && session[c_].done < STEPS)
#define IDLE_WHO(w_) (!worker[w_].attached && !worker[w_].asked && worker[w_].life == host[w_].life)
#define FAULT(may) (may) && faults < FAULTS -> faults++

active proctype farm() {
end:	do
	:: d_step { MAY_ARRIVE(0) -> arrive(0); tidy() }
	:: d_step { MAY_ARRIVE(1) -> arrive(1); tidy() }
	:: d_step { MAY_ARRIVE(2) -> arrive(2); tidy() }
#if SLOTS > 3
	:: d_step { MAY_ARRIVE(3) -> arrive(3); tidy() }
#endif
	:: d_step { MAY_ASK(0) -> ask(0); tidy() }
	:: d_step { IDLE_WHO(0) -> worker[0].asked = true; to_host(0, WHO, 0, 0, 0); tidy() }
	/* the keeper names another host than before: the one before is gone */
	:: d_step { worker[0].life != host[0].life -> detach(0); worker[0].life = host[0].life; worker[0].last = 0; worker[0].last_epoch = 0; tidy() }
	:: d_step { FAULT(true); kill(0); tidy() }
	:: d_step { FAULT(worker[0].attached); detach(0); tidy() }
	:: d_step { FAULT(worker[0].lease); over(0, true); tidy() }
#if WORKERS > 1
	:: d_step { IDLE_WHO(1) -> worker[1].asked = true; to_host(1, WHO, 0, 0, 0); tidy() }
	:: d_step { worker[1].life != host[1].life -> detach(1); worker[1].life = host[1].life; worker[1].last = 0; worker[1].last_epoch = 0; tidy() }
	:: d_step { FAULT(true); kill(1); tidy() }
	:: d_step { FAULT(worker[1].attached); detach(1); tidy() }
	:: d_step { FAULT(worker[1].lease); over(1, true); tidy() }
#endif
	:: d_step { FAULT(true); restart(); tidy() }
	:: d_step { FAULT(session[0].awaited && !session[0].torn); tear(0); tidy() }
	:: d_step { FAULT(session[0].lease); give_up(0); tidy() }
#if CLIENTS > 1
	:: d_step { MAY_ASK(1) -> ask(1); tidy() }
	:: d_step { FAULT(session[1].awaited && !session[1].torn); tear(1); tidy() }
	:: d_step { FAULT(session[1].lease); give_up(1); tidy() }
#endif
#ifdef COMPLETE
	:: d_step { session[0].done == STEPS && session[CLIENTS - 1].done == STEPS -> assert(false) }
#endif
	od
}
