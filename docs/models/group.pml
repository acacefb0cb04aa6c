/* SPDX-License-Identifier: MIT */
/* The commit group of one process (fcgi-api/store/group.c): threads hand in changes, one of them leads.
 *
 * Claims, for every interleaving, with the connection lost and the database killed at any instant, and with changes that
 * want what is locked elsewhere:
 *
 *   answer    an accepted change is committed; one that is refused is not
 *   once      no change is committed twice
 *   end       when nothing moves any more, every change has its answer (none waits without a leader)
 *   apart     two transactions of the leader's connection are never open at once
 *
 * What is here: three threads with a change each, a queue, the leadership, a transaction with its COMMIT, which may
 * be lost before it is sent (nothing was committed), or after (it is not known whether it was). A change that is left
 * out because of a lock goes alone.
 *
 * Not here: the patient group of several that is tried before that, and time.
 *
 * ./check runs it, as it is and with each rule broken on purpose (-D name):
 *
 *   ANSWER_EARLY     answers are handed out before the COMMIT
 *   AGAIN_AFTER_LOSS a change whose COMMIT was sent is tried again
 *   TAKE_AND_KEEP    the leader reads the queue and does not empty it
 *   NO_HANDOVER      the leader goes without making the next one lead
 *   TWO_LEADERS      a change that comes leads, whether or not another does
 */

#ifndef LOSSES
#define LOSSES 2 /* of the connection */
#endif

#define THREADS 3
#define BIT(n)       (1 << (n))
#define HAS(mask, n) (((mask) >> (n)) & 1)
#define ALL          ((1 << THREADS) - 1)

mtype = { waits, leads, alone, accepted, refused, unknown };

mtype state[THREADS];
byte queue;              /* bit n: thread n's change waits in it */
bool led;
byte committed[THREADS]; /* how often */
byte losses = LOSSES;
byte open;               /* transactions on the leader's connection */
byte answered;

inline answer(n, how)
{
    assert(how != accepted || committed[n] > 0); /* answer */
    assert(how != refused || committed[n] == 0); /* answer */
    state[n] = how;
    answered = answered | BIT(n)
}

inline commit_all(mask)
{
    i = 0;
    do
    :: i == THREADS -> break
    :: else ->
        if
        :: HAS(mask, i) -> committed[i]++; assert(committed[i] == 1) /* once */
        :: else
        fi;
        i++
    od;
    i = 0
}

inline tell(mask, how)
{
    i = 0;
    do
    :: i == THREADS -> break
    :: else ->
        if
        :: HAS(mask, i) && how != alone -> answer(i, how)
        :: HAS(mask, i) && how == alone -> state[i] = alone
        :: else
        fi;
        i++
    od;
    i = 0
}

/* How a transaction ends: done, lost before its COMMIT was sent, or after, when it may have been done. */
inline transact(mask, outcome)
{
    if
    :: atomic { commit_all(mask); outcome = accepted }
    :: atomic { losses > 0 -> losses--; outcome = refused }
    :: atomic { losses > 0 -> losses--; outcome = unknown }
    :: atomic { losses > 0 -> losses--; commit_all(mask); outcome = unknown }
    fi
}

inline lead()
{
    /* Takes what waits; some of it is locked elsewhere. */
    atomic {
        taken = queue;
#ifndef TAKE_AND_KEEP
        queue = 0;
#endif
        i = 0;
        do
        :: i == THREADS -> break
        :: else ->
            if
            :: HAS(taken, i) && i != me -> left_out = left_out | BIT(i)
            :: true
            fi;
            i++
        od;
        i = 0;
        group = taken & ~left_out;
        open++;
        assert(open == 1) /* apart */
    }
#ifdef ANSWER_EARLY
    atomic { tell(group & ~BIT(me), accepted) }
#endif
    transact(group, outcome);
    open--;
    /* The next one leads before the answers are handed out. */
    atomic {
#ifndef NO_HANDOVER
        if
        :: queue != 0 ->
            i = 0;
            do
            :: HAS(queue, i) -> break
            :: else -> i++
            od;
            state[i] = leads;
            i = 0
        :: else -> led = false
        fi
#else
        skip
#endif
    }
    atomic {
#if defined(ANSWER_EARLY)
        skip;
#elif defined(AGAIN_AFTER_LOSS)
        if
        :: outcome == unknown -> tell(group & ~BIT(me), alone); outcome = alone
        :: else -> tell(group & ~BIT(me), outcome)
        fi;
#else
        tell(group & ~BIT(me), outcome);
#endif
        tell(left_out, alone)
    }
    atomic {
        if
        :: outcome == alone -> state[me] = alone
        :: else -> answer(me, outcome)
        fi
    }
}

proctype thread(byte me)
{
    byte taken, left_out, group, i;
    mtype outcome;

    atomic {
        queue = queue | BIT(me);
        state[me] = waits;
#ifdef TWO_LEADERS
        state[me] = leads;
#else
        if
        :: !led -> led = true; state[me] = leads
        :: else
        fi
#endif
    }
    if
    :: state[me] == leads -> lead()
    :: HAS(answered, me)
    :: state[me] == alone
    fi;
    if
    :: state[me] == alone -> transact(BIT(me), outcome); atomic { answer(me, outcome) }
    :: HAS(answered, me)
    fi
}

proctype audit() /* when nothing can move any more */
{
    timeout -> assert(answered == ALL) /* end */
}

init
{
    atomic {
        run thread(0);
        run thread(1);
        run thread(2);
        run audit()
    }
}
