-- Where these books went, or where they came from. From the first word of leaving on nothing is changed in them any
-- more, nor where they come until they are verified there: they would go two ways.

create table moves (
    id bigint not null primary key check (id = 1),
    -- The same on both sides.
    move text collate "C" not null,
    state text collate "C" not null,
    -- The other side.
    place text collate "C" not null,
    began_at bigint not null,
    constraint move_has_a_state check (state in ('leaving', 'left', 'arriving', 'arrived', 'dead'))
);

-- What these books are called where others' things lie beside theirs. Each database has its own, also after a move.
create table identity (
    id bigint not null primary key check (id = 1),
    name text collate "C" not null
);

insert into identity (id, name) values (1, replace(gen_random_uuid()::text, '-', ''));
