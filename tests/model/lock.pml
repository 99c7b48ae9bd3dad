/* LockBased: the lock (test, then test-and-set), and the update under it. docs/model.md explains.

One step here is one atomic operation there, or one block of a vector. Sizes: WORKERS, QUOTA (versions made), BLOCKS.
Broken on purpose: NO_SWAP (the lock is taken by a load and a store), EARLY (unlocked before the version is stored). */

#ifndef WORKERS
#define WORKERS 2
#endif
#ifndef QUOTA
#define QUOTA 3
#endif
#ifndef BLOCKS
#define BLOCKS 2
#endif

bit LOCK;
byte VERSION;
byte APPLIED;         /* the sum of scales; each is 1 */
byte params[BLOCKS];  /* each block holds the version that it was written for */

/* Ghosts */
byte made;
byte inside;          /* workers that hold the lock */
byte ended;

/* waiting.py: lock */
inline lock()
{
    do
#ifdef NO_SWAP
    :: LOCK == 0 -> LOCK = 1; inside++; break
#else
    :: atomic { LOCK == 0 -> LOCK = 1; inside++ }; break
#endif
    :: else ->
       do
       :: LOCK == 0 -> break
       :: else
       od
    od;
    assert(inside == 1)
}

/* waiting.py: unlock */
inline unlock()
{
    atomic { inside--; LOCK = 0 }
}

/* lock_based.py: work */
proctype worker()
{
    byte read_version, version, i;
    do
    :: VERSION >= QUOTA -> break
    :: else ->
       /* 1. Read */
       lock();
       read_version = VERSION;
       assert(read_version == made);
       assert(APPLIED == read_version);
       do
       :: atomic { i < BLOCKS -> assert(params[i] == read_version); i++ }
       :: atomic { else -> i = 0; break }
       od;
       unlock();
       /* 3. Update. The staleness is version - read_version: both are exact. */
       lock();
       version = VERSION;
       if
       :: version == QUOTA -> unlock(); break
       :: else
       fi;
       assert(version == made && version >= read_version);
       do
       :: atomic { i < BLOCKS -> assert(params[i] == version); params[i] = version + 1; i++ }
       :: atomic { else -> i = 0; break }
       od;
       APPLIED = version + 1;
#ifdef EARLY
       unlock();
#endif
progress:
       atomic { VERSION = version + 1; made++ };
#ifndef EARLY
       unlock();
#endif
    od;
    ended++
}

init
{
    byte i;
    atomic {
        for (i : 1 .. WORKERS) {
            run worker()
        }
    };
    atomic { ended == WORKERS -> assert(made == QUOTA && VERSION == QUOTA && APPLIED == QUOTA && LOCK == 0) }
}
