/* SPDX-License-Identifier: MIT */
/* For how long an event that the broker has confirmed is kept (fcgi-api/publisher/keep.c).
 *
 * Claim, for every interleaving of two publishers and a broker that crashes: an event is forgotten only when the
 * broker has lived WINDOW more, in the life in which it confirmed the event.
 *
 * What is here: time, as a number that no publisher sees whole, only as what passes between two of its own steps; the
 * database's count of the time for which the broker was seen alive; publishers that read the count, send a beacon, hear
 * its confirm and add what has passed, each a step of its own with any time in between; one event, whose confirm is
 * taken to the database as late as it may be, with the count of that moment. A publisher that is killed is one whose
 * connection is lost and which begins anew. The heal is outbox.pml's; here it is one step.
 *
 * ./check runs it, as it is and with each rule broken on purpose (-D name):
 *
 *   ADD_BLINDLY     a publisher adds what it has seen whatever others have added meanwhile
 *   SINCE_BEACON    its next interval begins with the beacon that ended the last, not when that was added
 *   NO_MARGIN       events are forgotten after WINDOW of the count, not MOST later
 *   NO_MOST         any time is added at once
 *   STAYS           the heal leaves in place what is kept
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

#define NEVER 255

byte now = 1;

/* The broker. */
byte life = 1, cut[CRASHES + 2] = NEVER; /* when a life ended */
bool noted;

/* The database. */
byte known_life, lived;
bool kept;  /* the event ... */
byte stamp; /* ... with the count of that moment ... */
byte at, in_life; /* ... and, for the claim alone, when it was confirmed, and in which life */
bool over;  /* it has been forgotten: nothing else is looked at */
byte kills = KILLS;

inline crash()
{
    cut[life] = now;
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
    in_life = 0
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
                put_back()
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
    :: atomic { link == life && !kept && !over && confirmed_at == 0 -> confirmed_at = now }
    :: atomic {
            link != 0 && confirmed_at != 0 ->
            if
            :: known == known_life && !kept && !over ->
                kept = true;
                stamp = lived;
                at = confirmed_at;
                in_life = link
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
            over = true;
            if
            :: cut[in_life] == NEVER -> assert(now >= at + WINDOW)
            :: else -> assert(cut[in_life] >= at + WINDOW) /* the life in which it was confirmed */
            fi;
            put_back()
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
