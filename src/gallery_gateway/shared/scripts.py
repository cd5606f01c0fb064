"""What the store does in one step each (Lua). All keys of one caller lie in one slot of a cluster.

A caller's generation counts their purges. A page is stored behind the generation that it was asked for in:
not at all if that has passed meanwhile, and it is no page any more once it has.
"""

# KEYS: page, generation, lock; ARGV: owner, milliseconds of the lock.
# Gives the page, or whether the lock was got; and the generation.
TAKE = """
local generation = redis.call('GET', KEYS[2]) or '0'
local stored = redis.call('GET', KEYS[1])
if stored then
  local colon = string.find(stored, ':', 1, true) or 0
  if colon == 0 or string.sub(stored, 1, colon - 1) == generation then
    return {string.sub(stored, colon + 1), 0, generation}
  end
end
local got = redis.call('SET', KEYS[3], ARGV[1], 'NX', 'PX', ARGV[2])
return {false, got and 1 or 0, generation}
"""

# KEYS: lock; ARGV: owner, milliseconds of the lock.
HOLD = """
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return 0
"""

# KEYS: page, generation, lock; ARGV: owner, generation, milliseconds of the page, page (empty: none).
# The lock goes first, so that nobody waits for a page that has no room.
GIVE = """
if redis.call('GET', KEYS[3]) == ARGV[1] then
  redis.call('DEL', KEYS[3])
end
if ARGV[4] ~= '' and (redis.call('GET', KEYS[2]) or '0') == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[2] .. ':' .. ARGV[4], 'PX', ARGV[3])
  return 1
end
return 0
"""

# KEYS: generation; ARGV: milliseconds, channel, caller.
PURGE = """
redis.call('INCR', KEYS[1])
redis.call('PEXPIRE', KEYS[1], ARGV[1])
return redis.call('PUBLISH', ARGV[2], ARGV[3])
"""
