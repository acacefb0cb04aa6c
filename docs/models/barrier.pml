/* SPDX-License-Identifier: MIT */
/* Why the sweeper lists first and makes durable after (fcgi-api/publisher/sweep.c; the look for events of other programs, which
 * never come with a hint, is the same: emitted.c).
 *
 * InnoDB shows a commit to other connections before its log is on disk; a commit of our own that has returned makes
 * everything durable that was visible before it (the barrier). A crash of the database takes what is visible and not
 * durable, and its number goes to another event. Claim: what is published is durable.
 *
 *   BARRIER_FIRST  the barrier comes before the list: an event may become visible in between
 */
#ifndef EVENTS
#define EVENTS 3
#endif

byte visible; /* events 1..visible can be read */
byte durable; /* 1..durable survive a crash */
byte top;     /* 1..top are published */

proctype writer()
{
    do
    :: visible < EVENTS -> visible++
    :: atomic { durable < visible -> durable++ } /* a commit returns */
    :: visible == EVENTS && durable == EVENTS -> break
    od
}

inline barrier() { atomic { durable = visible } }

proctype sweeper()
{
    byte listed;
    do
    :: top < EVENTS ->
#ifdef BARRIER_FIRST
        barrier();
        listed = visible;
#else
        listed = visible;
        barrier();
#endif
        top = listed;
        assert(top <= durable)
    :: top == EVENTS -> break
    od
}

init
{
    atomic {
        run writer();
        run sweeper()
    }
}
