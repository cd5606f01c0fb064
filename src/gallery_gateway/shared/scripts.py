"""What the store does in one step each (Lua). All keys of one caller lie in one slot of a cluster.

A caller's generation counts their purges. A page is stored behind the generation that it was asked for in:
not at all if that has passed meanwhile, and it is no page any more once it has.
"""

# KEYS: page, generation, lock; ARGV: owner, milliseconds of the lock, whether to read past what is there.
# Gives the page, or whether the lock was got; and the generation. Whoever reads past what is there takes the
# lock away from an older call, the answer to which is then not stored over the younger one.
TAKE = """
local generation = redis.call('GET', KEYS[2]) or '0'
if ARGV[3] == '1' then
  redis.call('SET', KEYS[3], ARGV[1], 'PX', ARGV[2])
  return {false, 1, generation}
end
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
# The lock goes first, so that nobody waits for a page that has no room. Whoever has lost it stores nothing.
GIVE = """
if redis.call('GET', KEYS[3]) ~= ARGV[1] then
  return 0
end
redis.call('DEL', KEYS[3])
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

ALL = (TAKE, HOLD, GIVE, PURGE)
