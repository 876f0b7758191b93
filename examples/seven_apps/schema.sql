create table work (app text not null, at timestamptz not null default now());
