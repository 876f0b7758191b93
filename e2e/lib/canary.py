"""What a client looks for that comes next on a server: a session that nobody has used shows nothing of it."""


def canary(*custom):
    """The query; `custom`: names of custom settings to look at, too. A new session gives no row."""
    names = ", ".join(f"('{name}')" for name in custom)
    return f"""
select name, setting from pg_settings where source in ('session', 'interactive')
union all select 'lock', objid::text from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()
union all select 'temporary', relname from pg_class where relnamespace = pg_my_temp_schema()
union all select 'prepared', name from pg_prepared_statements
union all select 'cursor', name from pg_cursors where is_holdable
union all select 'channel', c from pg_listening_channels() c
union all select 'role', current_user where current_user <> session_user
union all select name, current_setting(name, true) from (values {names}) v (name)
 where current_setting(name, true) <> ''
order by 1, 2"""
