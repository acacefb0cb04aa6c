/* SPDX-License-Identifier: MIT */
/* The way of users' events from a commit group through the outbox into the stream.
 *
 * Claims, for every interleaving, with publishers killed and the broker crashed at any instant:
 *
 *   truth     only committed events are in the stream
 *   order     the first appearance of a user's event n in the stream comes before that of n + 1
 *   arrival   when nothing moves any more, every committed event is in the stream and the outbox is empty
 *
 * so that a reader who drops what is not newer than the last they have holds an exact log.
 *
 * What is here: commit groups, each with some events of some users, which are numbered, committed together and then
 * hinted one by one. A group holds its users' counters from the numbers to the commit, so the groups of all processes
 * are one writer's here. Two publishers, each with a connection of its own; hints, which may go to either or be lost,
 * and carry their event, which goes out as it is when the one before it of that user went out on this connection; the
 * sweeper, the same code under a lock that dies with its holder; confirms, which take an event out of the outbox and
 * keep it; and the heal: the first connection to a life of the broker reads the stream, puts back what is kept and not
 * there, and then notes that it has. A connection is a queue that may outlive its publisher (the kernel still sends what was written) or be cut
 * anywhere. A crashed broker loses any tail of the stream, confirmed or not, and every connection.
 *
 * An event of another program (carillon_emit) is here, too: a commit whose hint is lost, which each one's may be. The
 * look for them (emitted.c) is the sweeper's: under the same lock, and from a list that is a part of the outbox.
 *
 * Not here: time (a row's age, and how long what is confirmed is kept, which is kept.pml: all that is lost is kept still). An event is a
 * slot: those of the first user are 1, 2, ... EVENTS, the next user's follow. The stream is a number a user, `top`: as
 * long as `order` holds, what is in it is exactly 1..top. Reading and sending is one step, because what is sent stays
 * on the wire for any time and may be cut off it anywhere.
 *
 * ./check runs it, as it is and with each rule broken on purpose (-D name):
 *
 *   NUMBER_EARLY     a group gives its counters back before its commit
 *   HINT_EARLY       a group's events are hinted before its commit
 *   CARRY_GROUP      an event goes out as it came when another did on this connection, of whichever user
 *   OWN_HINT_ONLY    the publisher sends the hint's event alone, not what is below it
 *   CARRY_ANYTHING   an event that came with its hint goes out whatever went before it
 *   SKIP_LOCKED      it reads past rows that another publisher is busy with
 *   DELETE_EARLY     it deletes what it has sent, not what is confirmed
 *   NEWEST_FIRST     it sends a batch from the highest number down
 *   NO_SWEEPER       no publisher looks for lost hints
 *   NO_HEAL          a new connection does not bring back what the broker may have lost
 *   HEAL_TOO_EARLY   it does so before the connection is made, not after
 *   NOTE_TOO_EARLY   it notes the broker's life before it has put back what is kept
 *   DELETE_HEALED    a confirm counts in any life of the broker: it also deletes what a heal has put back since
 */

#ifndef USERS
#define USERS 1
#endif
#ifndef EVENTS
#define EVENTS 3 /* of each */
#endif
#ifndef BATCH
#define BATCH 2 /* rows read at a time */
#endif
#ifndef KILLS
#define KILLS 2 /* of publishers */
#endif
#ifndef CRASHES
#define CRASHES 0 /* of the broker */
#endif

#define LINKS  (2 + KILLS) /* connections that exist at a time: a killed publisher's may linger */
#define NOLINK LINKS
#define NOBODY 2

#define BIT(n)       (1 << (n))
#define HAS(mask, n) (((mask) >> (n)) & 1)

#define SLOTS          (USERS * EVENTS)
#define SLOT(user, n)  ((user) * EVENTS + (n))
#define USER(slot)     (((slot) - 1) / EVENTS)
#define NUMBER(slot)   (((slot) - 1) % EVENTS + 1)

/* The database. */
byte counter[USERS];  /* the last number given to an event of this user */
byte committed;       /* bit n: the event of slot n is in the journal */
byte outbox;          /* bit n: it is not known to be confirmed */
byte holder = NOBODY; /* of the sweeper's lock */
byte busy[2];         /* rows a publisher is at work on (SKIP_LOCKED) */
                      /* what is committed and not in the outbox was confirmed, and is kept */
byte life;            /* of the broker, as the heals count */
byte healer = NOBODY; /* has the lock that dies with its holder, too */
byte known[2];        /* that of a publisher's connection */

/* The broker, and the connections to it. */
byte top[USERS]; /* the stream holds 1..top */
bool noted = true; /* a publisher has healed in this life: gone with a crash */
chan wire[LINKS] = [BATCH] of { byte };
bool taken[LINKS];   /* a publisher holds it */
bool up[LINKS];      /* false: nothing comes back on it any more */
byte awaited[LINKS]; /* bit n: sent, its confirm has not arrived */
byte acked[LINKS];   /* bit n: it has arrived */

/* Hints; and what strikes. */
byte hint[2]; /* the slot of the latest event this publisher was told of, 0: none */
bool killed[2];

/* One event at least, of the first user upward. */
inline number_events()
{
    user = 0;
    do
    :: user < USERS && counter[user] < EVENTS ->
        counter[user]++;
        group = group | BIT(SLOT(user, counter[user]))
    :: user < USERS && (group != 0 || (user + 1 < USERS && counter[USERS - 1] < EVENTS)) -> user++
    :: user == USERS -> break
    od;
    user = 0
}

/* Each event's hint comes to one of the publishers, or to none: it found no room, or the worker died before. */
inline tell_of_group()
{
    slot = 1;
    do
    :: slot > SLOTS -> break
    :: slot <= SLOTS && HAS(group, slot) && hint[0] == 0 -> hint[0] = slot; slot++
    :: slot <= SLOTS && HAS(group, slot) && hint[1] == 0 -> hint[1] = slot; slot++
    :: slot <= SLOTS -> slot++
    od;
    slot = 0
}

proctype writer()
{
    byte group, user, slot;
    do
    :: atomic {
            counter[0] < EVENTS || counter[USERS - 1] < EVENTS ->
            number_events()
#if defined(NUMBER_EARLY) || defined(HINT_EARLY)
        }
#ifdef HINT_EARLY
        atomic { tell_of_group() }
#endif
        atomic {
#endif
            committed = committed | group;
            outbox = outbox | group
        }
        atomic {
#ifndef HINT_EARLY
            tell_of_group();
#endif
            group = 0
        }
    :: counter[0] == EVENTS && counter[USERS - 1] == EVENTS -> break
    od
}

/* What is in the stream now, which a crash may take away again before anything else is done. */
inline look()
{
    found = 0;
    slot = 1;
    do
    :: slot > SLOTS -> break
    :: slot <= SLOTS && NUMBER(slot) <= top[USER(slot)] -> found = found | BIT(slot); slot++
    :: slot <= SLOTS && NUMBER(slot) > top[USER(slot)] -> slot++
    od;
    slot = 0
}

/* What was confirmed in an earlier life and is not there comes back into the outbox; confirms of that life, which
 * count no more, do not take it out again. */
inline put_back()
{
    outbox = outbox | (committed & ~found);
    found = 0
}

#ifdef HEAL_TOO_EARLY
#define ASKS true /* before there is a connection to ask on */
#else
#define ASKS up[link]
#endif

inline leave_healing()
{
    if
    :: healer == me -> healer = NOBODY
    :: else
    fi
}

inline heal()
{
#ifndef NO_HEAL
    atomic { healer == NOBODY -> healer = me }
    if
    :: atomic { ASKS && noted }
    :: atomic { ASKS && !noted ->
#ifdef NOTE_TOO_EARLY
            noted = true;
            life++;
            look()
        }
        atomic { put_back() }
#else
            life++;
            look()
        }
        atomic { put_back() }
        atomic {
            if
            :: ASKS -> noted = true
            :: else /* lost again: the loop sees it */
            fi
        }
#endif
    :: atomic { !ASKS }
    fi;
    atomic {
        known[me] = life;
        leave_healing()
    }
#else
    skip
#endif
}

inline take_up(n)
{
    rows = rows | BIT(n);
    count++;
    if
    :: NUMBER(n) > sent[USER(n)] -> sent[USER(n)] = NUMBER(n)
    :: else
    fi;
    wire[link]!n
}

#ifdef CARRY_ANYTHING
#define GOES_AT_ONCE hint[me] != 0
#elif defined(CARRY_GROUP)
#define GOES_AT_ONCE hint[me] != 0 && (sent[0] != 0 || sent[USERS - 1] != 0)
#else
#define GOES_AT_ONCE hint[me] != 0 && sent[USER(hint[me])] != 0 && NUMBER(hint[me]) == sent[USER(hint[me])] + 1
#endif

/* Sends the event that came with the hint. */
inline publish_carried()
{
    wire[link]!hint[me];
    awaited[link] = awaited[link] | BIT(hint[me]);
    busy[me] = busy[me] | BIT(hint[me]);
    sent[USER(hint[me])] = NUMBER(hint[me]);
    hint[me] = 0
}

#ifdef NEWEST_FIRST
#define FIRST   SLOTS
#define LAST    0
#define NEXT(n) n - 1
#else
#define FIRST   1
#define LAST    (SLOTS + 1)
#define NEXT(n) n + 1
#endif

/* Reads the outbox and sends it: of the user who was hinted at, or of all. */
#define WANTED(n, wanted) (wanted == 0 || USER(n) == USER(wanted))
inline publish(wanted)
{
    rows = 0;
    count = 0;
    n = FIRST;
    do
    :: n == LAST || count == BATCH -> break
    :: else ->
        if
#if defined(OWN_HINT_ONLY)
        :: HAS(outbox, n) && (wanted == 0 || n == wanted) -> take_up(n)
#elif defined(SKIP_LOCKED)
        :: HAS(outbox, n) && WANTED(n, wanted) && !HAS(busy[1 - me], n) -> take_up(n)
#else
        :: HAS(outbox, n) && WANTED(n, wanted) -> take_up(n)
#endif
        :: else
        fi;
        n = NEXT(n)
    od;
    awaited[link] = rows;
    busy[me] = rows;
#ifdef DELETE_EARLY
    outbox = outbox & ~rows;
#endif
    rows = 0;
    count = 0;
    n = 0
}

inline release_lock()
{
    if
    :: holder == me -> holder = NOBODY
    :: else
    fi
}

inline connect()
{
    link = 0;
    do
    :: taken[link] || len(wire[link]) > 0 -> link++
    :: else -> break
    od;
    up[link] = true;
    taken[link] = true;
    awaited[link] = 0;
    acked[link] = 0;
    sent[0] = 0;
    sent[USERS - 1] = 0
}

inline disconnect()
{
    up[link] = false;
    taken[link] = false;
    awaited[link] = 0;
    acked[link] = 0;
    link = NOLINK;
    busy[me] = 0;
    known[me] = 0;
    leave_healing();
    release_lock()
}

proctype publisher(byte me)
{
    byte link = NOLINK, rows, count, n, found, slot;
    byte sent[USERS]; /* the highest on this connection */
again:
    {
#ifdef HEAL_TOO_EARLY
        heal();
        atomic { connect() }
#else
        atomic { connect() }
        heal();
#endif
end:    do
        :: atomic {
                up[link] && awaited[link] == 0 && acked[link] == 0 && hint[me] != 0 ->
                publish(hint[me]);
                hint[me] = 0
            }
        :: atomic { up[link] && nfull(wire[link]) && GOES_AT_ONCE -> publish_carried() }
        :: atomic { up[link] && hint[me] != 0 && NUMBER(hint[me]) <= sent[USER(hint[me])] -> hint[me] = 0 }
#ifndef NO_SWEEPER
        :: atomic {
                up[link] && awaited[link] == 0 && acked[link] == 0 && outbox != 0 && holder == NOBODY ->
                holder = me;
                publish(0)
            }
#endif
        /* Confirms come in any portions, and what has arrived counts even when the connection is gone, as long as
         * no other publisher has met the broker in another life. */
        :: atomic {
                acked[link] != 0 ->
                if
#if defined(DELETE_HEALED) || defined(HEAL_TOO_EARLY)
                :: true ->
#else
                :: known[me] == life ->
#endif
                    outbox = outbox & ~acked[link]
#if !defined(DELETE_HEALED) && !defined(HEAL_TOO_EARLY)
                :: else -> up[link] = false
#endif
                fi;
                acked[link] = 0;
                if
                :: awaited[link] == 0 -> busy[me] = 0; release_lock()
                :: else
                fi
            }
        :: atomic { awaited[link] == 0 && acked[link] == 0 && holder == me -> busy[me] = 0; release_lock() }
        :: atomic { !up[link] -> disconnect(); goto again }
        od
    } unless {
        atomic {
            killed[me] ->
            killed[me] = false;
            hint[me] = 0;
            rows = 0;
            count = 0;
            n = 0;
            leave_healing();
            if
            :: link != NOLINK -> disconnect() /* what is on the wire may still arrive */
            :: else
            fi;
            goto again
        }
    }
}

proctype stream()
{
    byte n, i;
end:
    do
    :: atomic {
            nempty(wire[0]) || nempty(wire[1]) || nempty(wire[LINKS - 1]) ->
            if
            :: nempty(wire[0]) -> i = 0
            :: nempty(wire[1]) -> i = 1
            :: nempty(wire[LINKS - 1]) -> i = LINKS - 1
            fi;
            if
            :: wire[i]?n ->
                assert(HAS(committed, n)); /* truth */
                assert(NUMBER(n) <= top[USER(n)] + 1); /* order */
                if
                :: NUMBER(n) == top[USER(n)] + 1 -> top[USER(n)]++
                :: else
                fi;
                if
                :: up[i] -> acked[i] = acked[i] | BIT(n); awaited[i] = awaited[i] & ~BIT(n)
                :: else
                fi
            :: !up[i] -> /* cut: the rest never arrives */
                do
                :: wire[i]?n
                :: empty(wire[i]) -> break
                od
            fi;
            n = 0;
            i = 0
        }
    od
}

proctype chaos()
{
    byte kills = KILLS, crashes = CRASHES, i;
    do
    :: atomic { kills > 0 && !killed[0] -> kills--; killed[0] = true }
    :: atomic { kills > 0 && !killed[1] -> kills--; killed[1] = true }
    :: atomic {
            crashes > 0 ->
            crashes--;
            noted = false;
            i = 0;
            do
            :: i == LINKS -> break
            :: else ->
                up[i] = false;
                awaited[i] = 0;
                do
                :: wire[i]?_
                :: empty(wire[i]) -> break
                od;
                i++
            od;
            do
            :: top[0] > 0 -> top[0]--
            :: USERS > 1 && top[USERS - 1] > 0 -> top[USERS - 1]--
            :: break
            od;
            i = 0
        }
    :: break /* perhaps nothing more happens */
    od
}

proctype audit() /* when nothing can move any more */
{
    timeout -> assert(counter[0] == EVENTS && top[0] == EVENTS && top[USERS - 1] == EVENTS && outbox == 0) /* arrival */
}

init
{
    atomic {
        run stream();
        run publisher(0);
        run publisher(1);
        run writer();
#ifdef NUMBER_EARLY
        run writer(); /* another process's */
#endif
        run chaos();
        run audit()
    }
}
