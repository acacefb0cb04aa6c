/* SPDX-License-Identifier: MIT */
/* Nodes: machines that share the journal (Galera) and nothing else, each with a broker of its own (docs/protocol.md, Several nodes).
 *
 * Claims, for every interleaving of commits, their way to the other node, publishers, a crashed broker, and a client
 * that goes from node to node:
 *
 *   order      in each node's stream an event comes after those before it
 *   arrival    when nothing moves any more, each registered node's stream has every event, and its outbox is empty
 *   complete   what a beacon says is true: all that was committed before its time is in that stream, before the beacon
 *   missing    a client that is told `recovered` has every event that the node does not send it now
 *   rubbish    no row is left for a node that was forgotten
 *
 * What is here: the order of all commits, as a list, of which each node's database has applied a part; a commit is behind all
 * that was committed before, so its own node has applied those (which is what a barrier is). Transactions that read the list of
 * nodes at their beginning and write an outbox row for each, and a mark for those elsewhere; a publisher hears of its own node's
 * events by a hint and of the others' by the mark. The fence in the order of commits, which ends the transactions that began
 * before it was applied. Watermarks, each step of them at any time; time is the number of events that are committed. The
 * notifier's ring of one user, which has forgotten any part when it is asked; its beginning is then the time of the last event that it forgot. A
 * client that leaves with what it has heard, a heartbeat last, and comes back anywhere at any time with its cursor.
 *
 * Not here: what happens between one outbox and its stream (outbox.pml), so a step publishes a row and takes it out; the
 * sweeper, so that arrival shows what hints and marks alone do; a dead node, which is one whose steps do not come. A notifier's lag
 * is that of its stream. Two nodes; more of them would be more of the same.
 *
 * ./check runs it, as it is and with each rule broken on purpose (-D name):
 *
 *   OWN_ROWS        a change writes a row for its own node alone
 *   NO_MARK         it marks nothing for the other node
 *   LIST_FIRST      a watermark: the list comes before the barrier
 *   CLOCK_LAST      the clock comes after the barrier
 *   NO_WAIT         the time is told while what was in the list is still there
 *   KEEP_MARK       it is kept when the broker has lost the end of the stream
 *   OWN_CLOCK       the notifier's own clock goes into cursors
 *
 * With JOIN node 1 is registered meanwhile, and perhaps forgotten after that:
 *
 *   NO_FENCE        the node's programs start at once
 *   HEAL_AT_ONCE    the journal that goes into the new broker is read before a commit
 *   NO_LAST_FENCE   the forgotten node's rows are removed at once
 */

#ifndef EVENTS
#define EVENTS 2
#endif
#ifndef MOVES
#define MOVES 1 /* of the client */
#endif
#ifndef CRASHES
#define CRASHES 1 /* of node 0's broker */
#endif

#define BIT(n)       (1 << (n))
#define HAS(mask, n) (((mask) >> (n)) & 1)

#define NONE      99
#define LOWEST(m) (HAS(m, 1) -> 1 : (HAS(m, 2) -> 2 : (HAS(m, 3) -> 3 : NONE)))

/* The order of all commits: events 1 to EVENTS, and what changes the list of nodes. */
#define JOINED 10
#define FENCE  11
#define LEFT   12
byte order[EVENTS + 4];
byte length;
byte committed;        /* events: also the time */
byte rows[EVENTS + 1]; /* bit x: the event was committed with a row for node x */
byte fenced;           /* the length of `order` with the last fence */
bool purged;           /* the rows of node 1 are removed */

/* Each node's database. */
byte applied[2]; /* so much of `order` */
byte list[2];    /* bit x: node x is registered */
byte out[2];     /* bit n: event n has a row for this node */

/* Its programs. */
bool runs[2];
byte told[2];   /* the highest event that a hint or a mark told the publisher of */
byte clock[2];  /* a watermark: the time, ... */
byte waits[2];  /* ... and what was in the list; they count from the third step on */
byte step[2];
byte beacon[2]; /* all from before that time is in the stream */

/* Its broker and notifier. */
byte top[2];   /* the stream holds 1..top */
byte heard[2]; /* the notifier has heard 1..heard */

/* The database takes the next commit in. */
inline apply(x)
{
    e = order[applied[x]];
    applied[x]++;
    if
    :: e <= EVENTS && HAS(rows[e], x) ->
        out[x] = out[x] | BIT(e);
#ifndef NO_MARK
        told[x] = (told[x] < e -> e : told[x])
#endif
    :: e == JOINED -> list[x] = list[x] | BIT(1)
    :: e == LEFT -> list[x] = list[x] & ~BIT(1)
    :: else
    fi;
    e = 0
}

inline barrier(x)
{
    do
    :: applied[x] < length -> apply(x)
    :: else -> break
    od
}

/* A commit of node x: what was committed before comes first. */
inline commit(x, what)
{
    order[length] = what;
    length++;
    barrier(x)
}

proctype writer()
{
    byte x, mask, since, e;
    do
    :: atomic {
            committed < EVENTS ->
            if
            :: true
            :: runs[1] -> x = 1
            fi;
            mask = list[x];
            since = applied[x]
        }
        atomic {
            if
            :: fenced > since || !runs[x] /* ended, with 1213 or its node: not done */
            :: else ->
                committed++;
#ifdef OWN_ROWS
                rows[committed] = BIT(x);
#else
                rows[committed] = mask;
#endif
                assert(!(purged && HAS(mask, 1))); /* rubbish */
                commit(x, committed);
                told[x] = (told[x] < committed -> committed : told[x]) /* the hint */
            fi;
            x = 0;
            mask = 0;
            since = 0
        }
    :: committed == EVENTS -> break
    od
}

#if defined(LIST_FIRST)
#define CLOCK   0
#define LIST    1
#define BARRIER 2
#elif defined(CLOCK_LAST)
#define BARRIER 0
#define CLOCK   1
#define LIST    2
#else
#define CLOCK   0
#define BARRIER 1
#define LIST    2
#endif

#ifdef NO_WAIT
#define LEFT_IT true
#else
#define LEFT_IT (out[x] & waits[x]) == 0
#endif

inline look_anew(x)
{
    step[x] = 0;
    clock[x] = 0;
    waits[x] = 0
}

proctype node(byte x)
{
    byte e, n;
end:
    do
    :: atomic { applied[x] < length -> apply(x) }
    :: atomic {
            runs[x] && LOWEST(out[x]) <= told[x] ->
            n = LOWEST(out[x]);
            assert(n <= top[x] + 1); /* order */
            top[x] = (top[x] < n -> n : top[x]);
            heard[x] = (heard[x] < n -> n : heard[x]);
            out[x] = out[x] & ~BIT(n);
            n = 0
        }
#ifndef JOIN
    :: atomic { step[x] == CLOCK && beacon[x] < committed -> clock[x] = committed; step[x]++ }
    :: atomic { step[x] == BARRIER && beacon[x] < committed -> barrier(x); step[x]++ }
    :: atomic { step[x] == LIST -> waits[x] = out[x]; step[x]++ }
    :: atomic {
            step[x] == 3 && LEFT_IT ->
            assert(top[x] >= clock[x]); /* complete */
            beacon[x] = clock[x];
            look_anew(x)
        }
#endif
    od
}

/* Node 0's broker loses the end of its stream, and its publisher puts that back (outbox.pml). */
proctype crash()
{
    byte crashes = CRASHES;
    do
    :: atomic {
            crashes > 0 && top[0] > 0 ->
            crashes--;
            do
            :: top[0] > 0 -> out[0] = out[0] | BIT(top[0]); top[0]--
            :: break
            od;
            told[0] = EVENTS; /* the sweeper's first look is at all there is */
#ifndef KEEP_MARK
            look_anew(0)
#endif
        }
    :: break
    od
}

#ifdef OWN_CLOCK
#define CURSOR_TIME(x) committed
#else
#define CURSOR_TIME(x) beacon[x]
#endif

/* A ring that holds events of the user goes by their numbers, an empty one by the time. */
#define RECOVERS(y) (gone < heard[y] -> last >= gone : time >= gone)

/* What it has when it leaves; what it was sent and did not read is as if it had left before. */
proctype client()
{
    byte at, last, time, gone, moves = MOVES;
    if
    :: true
    :: at = 1
    fi;
    do
    :: moves == 0 -> break
    :: else ->
        moves--;
        atomic {
            last = (last < heard[at] -> heard[at] : last);
            time = (time < CURSOR_TIME(at) -> CURSOR_TIME(at) : time) /* of a heartbeat */
        }
        atomic {
            if
            :: at = 0
            :: at = 1
            fi;
            do
            :: gone < heard[at] -> gone++ /* so much has left the ring there */
            :: break
            od;
            if
            :: RECOVERS(at) -> assert(last >= gone) /* missing */
            :: else -> /* it is told, and reads the tasks there */
                last = (last < applied[at] -> applied[at] : last);
                time = applied[at]
            fi;
            gone = 0
        }
    od
}

/* scripts/cluster: node 1 joins, and leaves. */
proctype operator()
{
    byte e, n, member;
    atomic {
        if
        :: true
        :: member = 1 /* its database is one of the cluster already */
        fi;
        commit(member, JOINED)
    }
#ifndef NO_FENCE
    atomic { commit(member, FENCE); fenced = length }
#endif
    atomic { HAS(list[1], 1) } /* the programs wait until they find their node */
#ifndef HEAL_AT_ONCE
    atomic { barrier(1) }
#endif
    atomic {
        do
        :: n < applied[1] ->
            if
            :: order[n] <= EVENTS -> out[1] = out[1] | BIT(order[n])
            :: else
            fi;
            n++
        :: else -> break
        od;
        n = 0;
        told[1] = EVENTS; /* its sweeper's first look is at all there is */
        runs[1] = true
    }
    if
    :: goto stays
    :: true
    fi;
    atomic { runs[1] = false }
    atomic { commit(0, LEFT) }
#ifndef NO_LAST_FENCE
    atomic { commit(0, FENCE); fenced = length }
#endif
    atomic {
        purged = true;
        n = applied[0]; /* what the removal does not see stays */
        do
        :: n < length -> assert(!(order[n] <= EVENTS && HAS(rows[order[n]], 1))); n++ /* rubbish */
        :: else -> break
        od
    }
stays:
    skip
}

proctype audit() /* when nothing can move any more */
{
    timeout -> assert(committed == EVENTS && top[0] == EVENTS && out[0] == 0 && (!runs[1] || (top[1] == EVENTS && out[1] == 0))) /* arrival */
}

init
{
    atomic {
        list[0] = 1;
        list[1] = 1;
        runs[0] = true;
#ifdef JOIN
        run operator();
#else
        list[0] = 3;
        list[1] = 3;
        runs[1] = true;
        run client();
        run crash();
#endif
        run node(0);
        run node(1);
        run writer();
        run audit()
    }
}
