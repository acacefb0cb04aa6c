/* SPDX-License-Identifier: MIT */
/* For how long an event that the broker has confirmed is kept (fcgi-api/publisher/keep.c).
 *
 * Claim, for every interleaving of two publishers and a broker that is killed or loses its power: an event is forgotten
 * only when it is on the broker's disk. It is there WINDOW after the broker wrote it (killed or not: the kernel goes on
 * writing), or when it is still in the stream after a power cut.
 *
 * What is here: time, as a number that no publisher sees whole, only as what passes between two of its own steps; the
 * database's count of the time for which the broker was seen alive; publishers that read the count, send a beacon, hear
 * its confirm and add what has passed, each a step of its own with any time in between; one event, whose confirm is
 * taken to the database as late as it may be, with the count of that moment. A power cut before WINDOW is over may lose it
 * or not. A publisher that is killed is one whose connection is lost and which begins anew. The heal, one step here
 * (outbox.pml has all of it), reads the stream: what is there stays kept, with the count that it has; what is not goes
 * back.
 *
 * ./check runs it, as it is and with each rule broken on purpose (-D name):
 *
 *   ADD_BLINDLY     a publisher adds what it has seen whatever others have added meanwhile
 *   SINCE_BEACON    its next interval begins with the beacon that ended the last, not when that was added
 *   NO_MARGIN       events are forgotten after WINDOW of the count, not MOST later
 *   NO_MOST         any time is added at once
 *   FOUND_IS_SAFE   the heal forgets what is still in the stream
 *   STAYS           the heal leaves in place what is kept, without a look at the stream
 */

#ifndef WINDOW
#define WINDOW 2
#endif
#ifndef MOST
#define MOST 1 /* that is added at once */
#endif
#ifndef END
#define END 5 /* of time */
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef KILLS
#define KILLS 1
#endif

byte now = 1;

/* The broker. */
byte life = 1;
bool noted;

/* The database. */
byte known_life, lived;
bool kept;  /* the event ... */
byte stamp; /* ... with the count of that moment ... */
byte at; /* ... and, for the broker's disk alone, when it was confirmed; 0: it is not in the stream ... */
bool on_disk; /* ... and it was still there after a power cut */
bool over;  /* it has been forgotten: nothing else is looked at */
byte kills = KILLS;

inline crash()
{
    if
    :: skip /* it was killed */
    :: at != 0 && now < at + WINDOW && !on_disk -> at = 0
    :: at != 0 -> on_disk = true
    fi;
    life++;
    noted = false
}

proctype world()
{
    byte crashes = CRASHES;
end:
    do
    :: now < END -> now++
    :: atomic { crashes > 0 -> crashes--; crash() }
    od
}

inline put_back()
{
    kept = false;
    stamp = 0;
    at = 0;
    on_disk = false
}

inline forget()
{
    over = true;
    assert(at != 0);
    assert(on_disk || now >= at + WINDOW);
    put_back()
}

inline lose()
{
    link = 0;
    known = 0;
    count = 0;
    since = 0;
    alive = 0;
    sent = 0;
    confirmed_at = 0
}

inline add(more)
{
    if
#ifdef ADD_BLINDLY
    :: known == known_life ->
#else
    :: known == known_life && count == lived ->
#endif
        lived = lived + more;
        count = lived;
#ifdef SINCE_BEACON
        since = alive;
#else
        since = now;
#endif
        alive = 0
    :: else -> since = 0; count = 0; alive = 0
    fi
}

proctype publisher()
{
    byte link, known;   /* the broker's life that the connection is to, and the database's number of it */
    byte count, since;  /* as read, and when; 0: not yet */
    byte sent, alive;   /* a beacon, and the last that was confirmed */
    byte confirmed_at;  /* the event was confirmed then; 0: it is not, or that has been taken to the database */
end:
    do
    :: atomic {
            link == 0 ->
            link = life;
            if
            :: !noted ->
                noted = true;
                known_life++;
#ifndef STAYS
                if
                :: kept && at == 0 -> put_back()
#ifdef FOUND_IS_SAFE
                :: kept && at != 0 -> forget()
#endif
                :: else
                fi
#endif
            :: else
            fi;
            known = known_life
        }
    :: atomic { link != 0 && link != life -> lose() }
    :: atomic { link == life && kills > 0 -> kills--; lose() }
    :: atomic { link != 0 && since == 0 -> count = lived; since = now }
    :: atomic { link == life && since != 0 && since < now && sent == 0 && alive == 0 -> sent = now }
    :: atomic { link == life && sent != 0 -> alive = (sent > since -> sent : 0); sent = 0 }
    :: atomic {
            since != 0 && alive > since ->
            if
#ifndef NO_MOST
            :: alive - since > MOST -> add(MOST)
            :: else -> add(alive - since)
#else
            :: add(alive - since)
#endif
            fi
        }
    :: atomic {
            link == life && !kept && !over && confirmed_at == 0 ->
            confirmed_at = now;
            if
            :: at == 0 -> at = now; on_disk = false
            :: else /* it came again: the first is there longer */
            fi
        }
    :: atomic {
            link != 0 && confirmed_at != 0 ->
            if
            :: known == known_life && !kept && !over ->
                kept = true;
                stamp = lived
            :: else
            fi;
            confirmed_at = 0
        }
    :: atomic {
#ifdef NO_MARGIN
            kept && lived >= stamp + WINDOW ->
#else
            kept && lived >= stamp + WINDOW + MOST ->
#endif
            forget()
        }
    od
}

init
{
    atomic {
        run world();
        run publisher();
        run publisher()
    }
}
