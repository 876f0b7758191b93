create table counts (id bigserial primary key, at timestamptz not null default now());
