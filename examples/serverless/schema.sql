create table visits (event integer not null, page integer not null);
create table total (visits integer not null);
insert into total values (0);
