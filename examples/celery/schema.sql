create table uploads (id bigserial primary key, name text not null, done boolean not null default false);
create table parts (id bigserial primary key, upload bigint not null, part integer not null);
